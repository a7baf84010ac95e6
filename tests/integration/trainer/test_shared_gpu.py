"""A GPU that trainer and engines of one host take in turn, by a lock that needs no GPU to be tested."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from shared.attempts import Marker
from shared.machine_lock import hold, wanted
from shared.records import PROMPTS, from_rows
from shared.units import Unit
from tests.integration.trainer.place import Place
from tests.waiting import wait_until
from workers.trainer import stage
from workers.trainer.stage import train

STUB = """
import fcntl, json, os, sys
lock = os.open(sys.argv[1], os.O_RDWR)
own = os.fstat(lock).st_ino
files = [int(name) for name in os.listdir("/proc/self/fd")]
inherited = [fd for fd in files if fd != lock and os.path.exists(f"/proc/self/fd/{fd}") and os.fstat(fd).st_ino == own]
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    free = True
except BlockingIOError:
    free = False
os.makedirs(sys.argv[2], exist_ok=True)
print(json.dumps({"type": "done", "metrics": {"free": free, "inherited": len(inherited)}}), flush=True)
"""


@pytest.fixture
def lock(place: Place, tmp_path: Path) -> Path:
    place.settings.gpu_lock = tmp_path / "gpu" / "lock"
    return place.settings.gpu_lock


@pytest.fixture
def unit(place: Place, lock: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """A training whose process looks at the lock, and trains nothing."""

    def command(folder: Path, gpus: int) -> list[str]:
        return [sys.executable, "-c", STUB, str(lock), str(folder / "out")]

    monkeypatch.setattr(stage, "command", command)
    row = {"prompt_id": "p", "prompt": "?", "split": "train", "rank": 0}
    prompts = place.commit("prompts", {"prompts.parquet": from_rows([row], PROMPTS)})
    return place.unit("pretrain", {"settings": {}}, prompts=prompts)


def notes(place: Place) -> list[str]:
    entries: list[Any] = place.runner.redis.xrange("signals")
    told = [json.loads(fields[b"data"]) for _, fields in entries if fields[b"type"] == b"progress"]
    return [data["note"] for data in told if data.get("note")]


def test_a_training_waits_for_the_gpu_says_so_and_holds_it_to_its_end(place: Place, lock: Path, unit: Unit) -> None:
    engine = hold(lock)
    ended: list[Marker] = []
    thread = threading.Thread(target=lambda: ended.append(place.attempt(unit, train)))
    thread.start()
    wait_until(lambda: wanted(lock), 60, "the training to want the GPU")
    wait_until(lambda: stage.OTHERS_TURN in notes(place), 60, "its reason")
    assert not ended
    os.close(engine)
    thread.join(60)
    assert ended[0].outcome == "committed", ended[0].message
    metrics = place.artifact(unit).manifest.metrics
    assert (metrics["free"], metrics["inherited"]) == (False, 1)
    assert not wanted(lock)
    os.close(hold(lock))


def test_a_spec_that_shares_needs_no_setting(place: Place, lock: Path, unit: Unit) -> None:
    place.settings.gpu_lock = None
    lock.parent.mkdir()
    lock.touch()
    engine = hold(place.settings.engine_lock)
    shared = unit.model_copy(update={"options": {"share": True}})
    thread = threading.Thread(target=place.attempt, args=(shared, train))
    thread.start()
    wait_until(lambda: wanted(place.settings.engine_lock), 60, "the training to want the GPU")
    assert not place.committed(shared)
    os.close(engine)
    thread.join(60)
    assert place.committed(shared)


def test_a_training_that_must_stop_waits_no_longer(place: Place, lock: Path, unit: Unit) -> None:
    engine = hold(lock)
    ended: list[Marker] = []
    thread = threading.Thread(target=lambda: ended.append(place.attempt(unit, train)))
    thread.start()
    wait_until(lambda: wanted(lock), 60, "the training to want the GPU")
    place.runner.shutdown.set()
    thread.join(60)
    assert ended[0].outcome == "stopped"
    assert not wanted(lock)
    os.close(engine)
