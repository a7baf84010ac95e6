"""The runner on real servers: what a handler's outcome becomes, and that only whole results are committed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import redis

from shared.artifacts import Artifact, Cost, Manifest, StageResult, read_commit
from shared.attempts import read_markers
from shared.context import StageContext, stop_name
from shared.errors import BadInput, Outage, PermanentError, StageError
from shared.runner import Runner, queued_name
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Shard, Unit

KEY = "cd" * 32
UNIT = Unit(key=KEY, kind="teach", params={}, experiment="e")


@pytest.fixture
def runner(settings: Settings, store: S3Store, redis_server: redis.Redis) -> Iterator[Runner]:
    made = Runner(settings, store, redis_server)
    yield made
    made.leases.close()


def rows(count: int, **more: bytes) -> StageResult:
    table = pa.table({"x": list(range(count))})
    return StageResult({"rows.parquet": table, **more}, {"n": count, "by": {"a": 1}}, Cost(usd=0.5))


def commits(store: S3Store) -> list[Manifest]:
    return [read_commit(store, info.name)[1] for info in store.list("commits/")]


def last_signal(client: redis.Redis) -> tuple[str, dict[str, Any]]:
    entries = client.xrevrange("signals", count=2)
    return entries[-1][1][b"type"].decode(), json.loads(entries[-1][1][b"data"])


def test_a_result_is_committed_with_its_files_rows_and_cost(runner: Runner, store: S3Store) -> None:
    runner.run(UNIT, lambda ctx: rows(3, **{"note.txt": b"words"}))
    (manifest,) = commits(store)
    assert manifest.files["rows.parquet"].rows == 3
    assert store.get(manifest.files["note.txt"].object) == b"words"
    assert manifest.cost.usd == 0.5
    artifact = Artifact(store, manifest, runner.settings.data_dir / "cache")
    assert artifact.table("rows.parquet")["x"].to_pylist() == [0, 1, 2]
    assert {path.name for path in artifact.folder().iterdir()} == {"rows.parquet", "note.txt"}


def test_a_committed_unit_is_dropped(runner: Runner, store: S3Store, redis_server: redis.Redis) -> None:
    runner.run(UNIT, lambda ctx: rows(3))
    redis_server.set(queued_name(KEY), 1)
    runner.run(UNIT, lambda ctx: pytest.fail("done twice"))
    assert len(commits(store)) == 1
    assert redis_server.get(queued_name(KEY)) is None
    assert last_signal(redis_server)[0] == "commit"


@pytest.mark.parametrize(
    ("error", "outcome", "permanent"),
    [
        (StageError("broke"), "error", False),
        (ValueError("broke"), "error", False),
        (PermanentError("wrong key"), "error", True),
        (BadInput("models.x", "no such", "add it"), "error", True),
        (Outage("away"), "waiting", False),
        (OSError(28, "No space left on device"), "waiting", False),
    ],
)
def test_an_error_leaves_a_marker_and_no_commit(
    runner: Runner, store: S3Store, error: Exception, outcome: str, permanent: bool
) -> None:
    def fail(ctx: StageContext) -> StageResult:
        raise error

    runner.run(UNIT, fail)
    (marker,) = read_markers(store, UNIT.attempts_prefix)
    assert (marker.outcome, marker.permanent) == (outcome, permanent)
    assert commits(store) == []


def test_a_stop_key_ends_the_work(runner: Runner, store: S3Store, redis_server: redis.Redis) -> None:
    redis_server.set(stop_name(KEY), 1)

    def work(ctx: StageContext) -> StageResult:
        ctx.check()
        return rows(1)

    runner.run(UNIT, work)
    assert commits(store) == []
    assert read_markers(store, UNIT.attempts_prefix)[0].outcome == "stopped"


def test_shards_are_gathered_in_order_and_their_numbers_added(runner: Runner, store: S3Store) -> None:
    refs = []
    for shard in (Shard(start=0, stop=2), Shard(start=2, stop=5)):
        unit = UNIT.model_copy(update={"shard": shard})
        runner.run(unit, lambda ctx: rows(ctx.unit.shard.stop - ctx.unit.shard.start if ctx.unit.shard else 0))
        (name,) = [info.name for info in store.list("commits/") if unit.commit_key in info.name]
        refs.append(read_commit(store, name)[0])
    unit = UNIT.model_copy(update={"parts": tuple(refs)})
    runner.run(unit, lambda ctx: pytest.fail("gathering is the runner's own work"))
    (manifest,) = [found for found in commits(store) if found.key == KEY]
    assert manifest.files["rows.parquet"].rows == 5
    assert manifest.metrics == {"n": 5, "by": {"a": 2}}
    assert manifest.cost.usd == 1.0
