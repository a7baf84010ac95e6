"""Units given to real workers, without a conductor."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa

from shared import records
from shared.artifacts import Artifact, CommitRef, Cost, FileRef, Manifest, commit_name, commit_prefix, read_commit
from shared.canonical import content_key, sha256_hex
from shared.kinds import KINDS
from shared.queues import send_unit
from shared.units import Shard, Unit
from tests.stack import Stack
from tests.waiting import wait_until


def unit(kind: str, params: dict[str, Any], inputs: dict[str, CommitRef] | None = None, **more: Any) -> Unit:
    """A unit whose key follows from what it is asked."""
    given = inputs or {}
    key = content_key({"kind": kind, "params": params, "inputs": {name: ref.key for name, ref in given.items()}})
    return Unit(key=key, kind=kind, params=params, inputs=given, experiment="e1", generation=1, **more)


def send(stack: Stack, given: Unit) -> None:
    """Queue it, as the conductor does."""
    send_unit(stack.app, given.kind, given.model_dump(mode="json"))


def committed(stack: Stack, given: Unit) -> CommitRef | None:
    """Its commit, if there is one."""
    names = [info.name for info in stack.store.list(commit_prefix(given.commit_key))]
    return read_commit(stack.store, names[0])[0] if names else None


def run(stack: Stack, given: Unit, timeout: float = 60) -> CommitRef:
    """Queue it and wait for its commit."""
    send(stack, given)
    ref = wait_until(lambda: committed(stack, given), timeout, f"{given.kind} to commit")
    assert ref is not None
    return ref


def send_until_committed(stack: Stack, given: Unit, timeout: float = 150) -> None:
    """Queue a unit again and again, as the conductor does with one that waits."""

    def attempt() -> bool:
        if committed(stack, given):
            return True
        if stack.redis.llen(KINDS[given.kind].queue) == 0:
            send(stack, given)
        return False

    wait_until(attempt, timeout, "the unit to commit", every=0.3)


def artifact(stack: Stack, ref: CommitRef) -> Artifact:
    """What a commit names."""
    return Artifact.load(stack.store, ref, stack.folder / "cache")


def made(stack: Stack, kind: str, table: pa.Table, metrics: dict[str, Any] | None = None) -> CommitRef:
    """A commit made by hand: what some other stage would have left."""
    data = records.to_bytes(table)
    key = sha256_hex(data)
    name = f"stages/{kind}/{key}/{key}.parquet"
    stack.store.put(name, data)
    manifest = Manifest(
        key=key,
        kind=kind,
        attempt="a",
        files={f"{kind}.parquet": FileRef(object=name, sha256=key, size=len(data), rows=table.num_rows)},
        inputs={},
        metrics=metrics or {},
        cost=Cost(),
        versions={},
        host="test",
        started="",
        finished="",
    )
    stack.store.put(commit_name(key, "a"), manifest.to_json())
    return CommitRef(key=key, object=commit_name(key, "a"), sha256=sha256_hex(manifest.to_json()))


def shards(given: Unit, *bounds: int) -> list[Unit]:
    """The unit's shards between these rows."""
    return [given.model_copy(update={"shard": Shard(start=start, stop=stop)}) for start, stop in pairwise(bounds)]
