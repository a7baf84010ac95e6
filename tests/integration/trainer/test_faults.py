"""Trainings that are killed, stopped or cut off: they go on where they were, and leave nobody behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from shared.artifacts import CommitRef
from shared.context import stop_name
from shared.queues import send_unit
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Unit
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from tests.stack import Stack
from tests.waiting import wait_until

ARGS = {"per_device_train_batch_size": 8, "max_steps": 300, "learning_rate": 1e-3}
PARAMS = {"method": "sft", "seed": 1, "args": ARGS}
EVERY = 0.5


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Checkpoints every fraction of a second."""
    return settings.model_copy(update={"checkpoint_seconds": EVERY})


def trainings(parent: int | None = None) -> list[psutil.Process]:
    """The training processes that a process (this one, by default) has started."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if "workers.trainer.child" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(place: Place, unit: Unit) -> Iterator[psutil.Process]:
    """Run a stage in a thread, and hand over its training once a checkpoint of it is in the store."""
    thread = threading.Thread(target=place.train, args=(unit,))
    thread.start()
    try:
        wait_until(lambda: place.checkpoints(unit), 60, "a checkpoint", every=0.05)
        yield trainings()[0]
    finally:
        thread.join(60)


def test_a_killed_training_goes_on_as_if_undisturbed(place: Place, base: CommitRef, demonstrations: CommitRef) -> None:
    unit = place.unit("sft", PARAMS, base=base, demonstrations=demonstrations)
    with running(place, unit) as training:
        training.kill()
    first = place.markers(unit)[-1]
    assert first.outcome == "error" and not first.permanent
    assert "was killed (SIGKILL) after step" in first.message and first.steps >= 1
    before = max(place.checkpoints(unit))

    assert place.train(unit).outcome == "committed", place.log(unit)
    assert f"going on from the checkpoint of step {before}" in place.log(unit)
    assert place.checkpoints(unit) == set()

    other = place.unit("sft", {**PARAMS, "undisturbed": True}, base=base, demonstrations=demonstrations)
    assert place.train(other).outcome == "committed", place.log(other)
    disturbed, undisturbed = place.artifact(unit).manifest, place.artifact(other).manifest
    assert {name: ref.sha256 for name, ref in disturbed.files.items()} == {
        name: ref.sha256 for name, ref in undisturbed.files.items()
    }
    assert disturbed.metrics == undisturbed.metrics


@pytest.mark.slow
def test_dpo_goes_on_with_the_same_reference(place: Place, base: CommitRef, preferences: CommitRef) -> None:
    """The reference is computed anew from the start, not from the weights of the checkpoint."""
    params = {"method": "dpo", "seed": 1, "beta": 0.1, "args": {**ARGS, "max_steps": 250}}
    unit = place.unit("rl", params, start=base, preferences=preferences)
    with running(place, unit) as training:
        training.kill()
    assert place.train(unit).outcome == "committed", place.log(unit)
    other = place.unit("rl", {**params, "undisturbed": True}, start=base, preferences=preferences)
    assert place.train(other).outcome == "committed", place.log(other)
    for name in ("model.safetensors", "loss.parquet"):
        assert place.artifact(unit).manifest.files[name].sha256 == place.artifact(other).manifest.files[name].sha256
    assert place.artifact(unit).manifest.metrics == place.artifact(other).manifest.metrics


def test_a_cancelled_training_ends_at_once(
    place: Place, base: CommitRef, demonstrations: CommitRef, redis_server: redis.Redis
) -> None:
    params = {**PARAMS, "args": {**ARGS, "max_steps": 100_000}}
    unit = place.unit("sft", params, base=base, demonstrations=demonstrations)
    with running(place, unit) as training:
        redis_server.set(stop_name(unit.commit_key), 1)
        wait_until(lambda: not alive(training), 10, "the training to end")
    assert place.markers(unit)[-1].outcome == "stopped"
    assert not place.committed(unit)


@pytest.mark.slow
def test_a_wiped_redis_does_not_end_a_training(
    place: Place, base: CommitRef, demonstrations: CommitRef, redis_server: redis.Redis
) -> None:
    unit = place.unit("sft", PARAMS, base=base, demonstrations=demonstrations)
    with running(place, unit) as training:
        redis_server.flushdb()
        assert alive(training)
    assert [marker.outcome for marker in place.markers(unit)] == ["committed"]
    assert "going on from" not in place.log(unit)


@pytest.fixture
def remote(stack: Stack, tmp_path: Path) -> Iterator[tuple[Stack, Place, Unit]]:
    """A trainer as a process of its own, and a training that takes seconds."""
    stack.start("trainer", TOUCHSTONE_CHECKPOINT_SECONDS=str(EVERY))
    place = Place(stack.settings, S3Store.from_settings(stack.settings), stack.redis)
    base = place.commit_folder("base", tiny.save_model(tmp_path / "base"))
    table = place.commit("demonstrations", {"completions.parquet": tiny.demonstrations()})
    unit = place.unit("sft", PARAMS, base=base, demonstrations=table)
    stack.wait_ready("trainer")
    yield stack, place, unit
    place.close()


def send(stack: Stack, unit: Unit) -> None:
    send_unit(stack.app, unit.kind, unit.model_dump(mode="json"))


def checkpointed(place: Place, unit: Unit, worker: int) -> psutil.Process:
    wait_until(lambda: place.checkpoints(unit), 60, "a checkpoint", every=0.05)
    return trainings(worker)[0]


def committed(stack: Stack, place: Place, unit: Unit) -> None:
    """Wait for the commit, or say what the trainer said instead."""
    try:
        wait_until(lambda: place.committed(unit), 150, "the commit", every=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{stack.log('trainer')}\n{place.log(unit)}") from None


@pytest.mark.slow
@pytest.mark.parametrize("also_the_training", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_killed_worker_leaves_no_training_behind(remote: tuple[Stack, Place, Unit], also_the_training: bool) -> None:
    stack, place, unit = remote
    send(stack, unit)
    training = checkpointed(place, unit, stack.processes["trainer"].pid)
    stack.kill("trainer")
    if also_the_training:
        training.kill()
    wait_until(lambda: not alive(training), 10, "the training to end")

    stack.start("trainer")
    wait_until(lambda: not stack.redis.exists(f"lease:{unit.commit_key}"), 10, "the dead worker's lease to expire")
    send(stack, unit)
    committed(stack, place, unit)
    assert place.artifact(unit).manifest.metrics["steps"] == 300
    assert "going on from the checkpoint of step" in place.log(unit)


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_takes_its_training_along(remote: tuple[Stack, Place, Unit]) -> None:
    stack, place, unit = remote
    send(stack, unit)
    training = checkpointed(place, unit, stack.processes["trainer"].pid)
    stack.kill("trainer", signal.SIGTERM)
    assert not alive(training)
    assert place.markers(unit)[-1].outcome == "stopped"


@pytest.mark.slow
def test_a_store_that_is_away_costs_a_training_nothing(remote: tuple[Stack, Place, Unit]) -> None:
    stack, place, unit = remote
    send(stack, unit)
    training = checkpointed(place, unit, stack.processes["trainer"].pid)
    stack.kill("s3")
    wait_until(lambda: not alive(training), 60, "the training to reach its end without the store")
    stack.start_s3()
    committed(stack, place, unit)
    assert place.artifact(unit).manifest.metrics["steps"] == 300
    assert [marker.outcome for marker in place.markers(unit)] == ["committed"]
