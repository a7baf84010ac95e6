"""A worker that is told to end lets its training save itself, for as long as it has been given and no longer.

In the training's place is a process that says what one would say, so that the worker's side is all that is looked at.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.artifacts import CommitRef
from shared.units import Unit
from tests.integration.trainer.place import Place
from tests.waiting import wait_until

# Does a step every now and then; asked to save itself, it does what its second word says.
CHILD = """
import json, pathlib, sys, threading
from workers.trainer import lifeline
from workers.trainer.messages import Channel, Done, Progress, Saved
lifeline.hold()
folder, manner = pathlib.Path(sys.argv[1]), sys.argv[2]
channel, asked = Channel(), folder / "save-now"
for step in range(1, 100_000):
    channel.send(Progress(step=step, total=100_000))
    threading.Event().wait(0.02)
    if not asked.exists() or manner == "deaf":
        continue
    if manner == "saves":
        saved = folder / "checkpoints" / f"checkpoint-{step}"
        saved.mkdir(parents=True)
        (saved / "model.safetensors").write_bytes(b"weights")
        asked.unlink()
        channel.send(Saved(step=step, folder=str(saved.relative_to(folder))))
    else:
        (folder / "out").mkdir()
        (folder / "out" / "model.safetensors").write_bytes(b"weights")
        channel.send(Done(metrics={"steps": step}))
        break
"""


@pytest.fixture
def unit(place: Place, base: CommitRef, demonstrations: CommitRef) -> Unit:
    return place.unit("sft", {"method": "sft", "seed": 0}, base=base, demonstrations=demonstrations)


@contextmanager
def told_to_end(place: Place, unit: Unit, manner: str, grace: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a training of this manner, and have its worker told to end after the first steps."""
    words = [sys.executable, "-c", CHILD]
    monkeypatch.setattr("workers.trainer.stage.command", lambda folder, gpus: [*words, str(folder), manner])
    place.settings = place.runner.settings = place.settings.model_copy(update={"grace_seconds": grace})
    stepped = threading.Event()
    # What a worker says of its progress goes out a few times a second at most; this is said before.
    monkeypatch.setattr("shared.context.StageContext.progress", lambda *_: stepped.set())
    thread = threading.Thread(target=place.train, args=(unit,))
    thread.start()
    try:
        wait_until(stepped.is_set, 120, "the first step")
    finally:
        place.runner.shutdown.set()
        thread.join(120)
    yield


def test_it_saves_itself_first(place: Place, unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    with told_to_end(place, unit, "saves", 100.0, monkeypatch):
        assert place.markers(unit)[-1].outcome == "stopped"
        (step,) = place.checkpoints(unit)
        assert f"checkpoint of step {step} saved" in place.log(unit)


def test_one_that_comes_to_its_end_meanwhile_is_committed(
    place: Place, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told_to_end(place, unit, "ends", 100.0, monkeypatch):
        assert place.markers(unit)[-1].outcome == "committed"


def test_one_that_cannot_is_ended_when_the_time_is_over(
    place: Place, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with told_to_end(place, unit, "deaf", 0.2, monkeypatch):
        assert place.markers(unit)[-1].outcome == "stopped" and not place.checkpoints(unit)
        assert "did not save itself within 0.2 s" in place.log(unit)
