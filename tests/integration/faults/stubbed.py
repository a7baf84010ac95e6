"""A stack whose workers are stubs, and what can be seen of it from outside."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from shared import experiments
from shared.artifacts import Manifest, commit_key_of
from shared.kinds import QUEUES
from tests.stack import ROOT, Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

FINISH = 90


def start_workers(stack: Stack, seconds: float = 0.2, **environment: str) -> None:
    """One stub worker a queue."""
    log = str(stack.folder / "stub.log")
    for queue in QUEUES:
        command = ["-m", "tests.stubs.worker", queue, "1" if queue == "trainer" else "2"]
        stack.start(queue, command, ROOT, STUB_LOG=log, STUB_SECONDS=str(seconds), **environment)


def start_all(stack: Stack, seconds: float = 0.2, **environment: str) -> None:
    stack.start("conductor", ["-m", "services.conductor"])
    start_workers(stack, seconds, **environment)


def start_rival(stack: Stack, name: str, **environment: str) -> None:
    """A second worker of a queue, `<name>-2`."""
    command, given = stack.commands[name]
    stack.start(f"{name}-2", command, ROOT, **{**given, **environment})


def submit(stack: Stack, **changes: Any) -> str:
    id = experiments.new_id()
    experiments.create(stack.store, stack.redis, resolved(spec_with(**changes)), "", id)
    return id


def summary(stack: Stack, id: str) -> dict[str, Any]:
    found = experiments.read_summary(stack.redis, stack.store, id)
    assert found is not None
    return found


def finished(stack: Stack, id: str) -> dict[str, Any]:
    return wait_until(
        lambda: (found := summary(stack, id))["state"] != "running" and found, FINISH, "the experiment to finish"
    )


def stub_log(stack: Stack) -> list[list[str]]:
    path = stack.folder / "stub.log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def committed(stack: Stack, id: str, at_least: int) -> bool:
    return bool(summary(stack, id)["counts"].get("committed", 0) >= at_least)


def contents(stack: Stack) -> dict[str, set[str]]:
    """By key, the hashes of the files of all its commits."""
    found: dict[str, set[str]] = {}
    for info in stack.store.list("commits/"):
        manifest = Manifest.from_json(stack.store.get(info.name))
        hashes = ",".join(ref.sha256 for ref in manifest.files.values())
        found.setdefault(commit_key_of(info.name), set()).add(hashes)
    return found


def bytes_of(stack: Stack) -> dict[str, bytes]:
    """Every committed object: the manifests and the files that they name."""
    found = {info.name: stack.store.get(info.name) for info in stack.store.list("commits/")}
    files = [ref.object for data in found.values() for ref in Manifest.from_json(data).files.values()]
    return found | {name: stack.store.get(name) for name in files}


def begun(stack: Stack) -> Counter[str]:
    """How often each unit was begun."""
    return Counter(line[2] for line in stub_log(stack) if line[0] == "began")


def holding(stack: Stack) -> list[str]:
    """The log's line of the stage that waits before its commit (STUB_HOLD)."""
    return wait_until(
        lambda: next((line for line in stub_log(stack) if line[0] == "holding"), []),
        FINISH,
        "a stage before its commit",
    )


def stack_logs(stack: Stack, key: str) -> str:
    """All attempts' logs of a stage."""
    return "".join(stack.store.get(info.name).decode() for info in stack.store.list(f"scratch/{key}/logs/"))


def away_for(seconds: float) -> None:
    """Let a fault last for as long as the test is about."""
    threading.Event().wait(seconds)
