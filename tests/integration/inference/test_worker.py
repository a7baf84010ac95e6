"""The inference worker as a process: what it must not load, what a kill leaves, and a clean end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.inference.keeper import Keeper
from shared.attempts import read_markers
from shared.queues import send_unit
from shared.units import Unit
from tests.integration.inference.place import SAMPLING, Place
from tests.stack import Stack
from tests.waiting import wait_until

LONG = {**SAMPLING, "max_tokens": 90}


@pytest.fixture
def outside(stack: Stack, keeper: Keeper) -> Iterator[Place]:
    """Commits the worker's inputs and reads what it wrote."""
    stack.store.ensure_bucket()
    made = Place(stack.settings, stack.store, stack.redis, keeper)
    yield made
    made.close()


def children(stack: Stack) -> list[psutil.Process]:
    """The engine's host and the engine."""
    return psutil.Process(stack.processes["inference"].pid).children(recursive=True)


def both_run(stack: Stack) -> list[psutil.Process]:
    return wait_until(lambda: found if len(found := children(stack)) == 2 else [], 60, "the host and its engine")


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def loaded(process: psutil.Process) -> bool:
    """Whether a process has torch's library in memory."""
    return any("libtorch" in part.path for part in process.memory_maps())


def committed(place: Place, unit: Unit) -> bool:
    return any(marker.outcome == "committed" for marker in read_markers(place.store, unit.attempts_prefix))


@pytest.mark.slow
def test_a_killed_worker_leaves_no_engine_and_the_next_one_does_the_stage(
    stack: Stack, outside: Place, model_folder: Path
) -> None:
    unit = outside.unit("sample", LONG, checkpoint=outside.checkpoint(model_folder), prompts=outside.prompts(600))
    stack.start("inference")
    stack.wait_ready("inference")
    send_unit(stack.app, "sample", unit.model_dump(mode="json"))
    engines = both_run(stack)
    wait_until(lambda: any(b"progress" in fields[b"type"] for _, fields in stack.redis.xrange("signals")), 90, "work")
    worker = psutil.Process(stack.processes["inference"].pid)
    assert not loaded(worker)
    assert all(loaded(engine) for engine in engines)
    stack.kill("inference")
    wait_until(lambda: gone(engines), 10, "the engine to end")
    assert not committed(outside, unit)

    stack.start("inference")
    stack.wait_ready("inference")
    wait_until(lambda: not stack.redis.exists(f"lease:{unit.commit_key}"), 20, "the lease to expire")
    send_unit(stack.app, "sample", unit.model_dump(mode="json"))
    wait_until(lambda: committed(outside, unit), 120, "the commit")
    rows = outside.artifact(unit).rows()
    assert rows.num_rows == 600
    again = both_run(stack)
    stack.kill("inference", signal.SIGTERM)
    wait_until(lambda: gone(again), 10, "the engine to end with its worker")
