"""`mode: batch` with real workers and a conductor: kills at every step, the wait that holds no worker, and cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared import experiments
from shared.attempts import read_markers
from shared.llm.batches import PREFIX
from shared.llm.providers.openai import OpenAIModel
from shared.units import Unit
from tests.integration.llm.batchstandin import BatchStandIn
from tests.integration.llm.units import artifact, committed, run, send, send_until_committed, unit
from tests.stack import Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

SIZES = {"train": 30, "dev": 2, "eval": 6}
LONG = 150


def teach(stack: Stack, provider: BatchStandIn) -> Unit:
    model = OpenAIModel(provider="openai", model="m", base_url=provider.url, mode="batch")
    prompts = run(stack, unit("prompts", {**SIZES, "source": {"world": {"seed": 0, "count": 100}}}))
    params = {"model": model.identity(), "split": "train", "start": 0.0, "stop": 1.0}
    return unit("teach", params, {"prompts": prompts}, options={"name": "weak", **model.options()})


STEPS = [
    ["POST /v1/files"],
    ["POST /v1/batches", "GET /v1/batches"],
    ["GET /v1/batches/batch_0"],
    ["GET /v1/files/file-1/content"],
    ["DELETE /v1/files/file-0"],
    ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/batch_0", "GET /v1/files/file-2/content"],
]


@pytest.mark.parametrize(
    "calls", [["POST /v1/batches"], *(pytest.param(calls, marks=pytest.mark.slow) for calls in STEPS)], ids=str
)
def test_a_worker_killed_at_any_step_pays_for_nothing_twice(
    stack: Stack, provider: BatchStandIn, calls: list[str]
) -> None:
    stack.start("teacher")
    given, left, killed = teach(stack, provider), list(calls), threading.Event()

    def kill(call: str) -> None:
        if left and call == left[0]:
            left.pop(0)
            stack.kill("teacher")
            killed.set()

    provider.before = kill
    while left:
        killed.clear()
        send(stack, given)
        wait_until(lambda: killed.is_set() or resend(stack, given), LONG, "the kill", every=0.3)
        stack.start("teacher")
    send_until_committed(stack, given)
    assert artifact(stack, committed(stack, given)).rows().num_rows == 30  # type: ignore[arg-type]
    assert set(provider.asked.values()) == {1} and len(provider.asked) == 30
    assert len(provider.batches) == 1
    if list(stack.store.list(PREFIX)):
        # Its answers were taken before the kill, so no stage looks at it again; the conductor has it cleared away.
        stack.start("conductor")
    wait_until(lambda: not list(stack.store.list(PREFIX)) and not provider.files, 60, "the files to be deleted")


def resend(stack: Stack, given: Unit) -> bool:
    """Queue it again where it is not; always False."""
    if stack.alive("teacher") and stack.redis.llen("teacher") == 0:
        send(stack, given)
    return False


def submit(stack: Stack, provider: BatchStandIn) -> str:
    id = experiments.new_id()
    weak = {"provider": "openai", "model": "m", "base_url": provider.url, "mode": "batch"}
    spec = spec_with(models__weak=weak, prompts__train=40, prompts__dev=2, prompts__eval=6)
    experiments.create(stack.store, stack.redis, resolved(spec), "", id)
    return id


def stages(stack: Stack, id: str, state: str) -> list[dict[str, Any]]:
    found = experiments.read_summary(stack.redis, stack.store, id) or {"stages": []}
    return [row for row in found["stages"] if row["state"] == state and row["kind"] == "teach"]


def waits_for_batches(stack: Stack, id: str) -> bool:
    return any(str(row["reason"]).startswith("batch batch_") for row in stages(stack, id, "waiting"))


@pytest.mark.slow
def test_a_waiting_batch_holds_no_worker_leaves_no_trail_and_outlives_redis(
    stack: Stack, provider: BatchStandIn
) -> None:
    provider.ending = None
    stack.start("conductor")
    stack.start("teacher")
    id = submit(stack, provider)
    wait_until(lambda: waits_for_batches(stack, id), LONG, "a stage to wait for its batch")
    (waiting, *_) = stages(stack, id, "waiting")
    assert "looked at again in 0.3 s" in waiting["reason"] and waiting["error"] is None
    looks = provider.calls["GET /v1/batches/batch_0"]
    wait_until(lambda: provider.calls["GET /v1/batches/batch_0"] > looks + 5, LONG, "more looks")
    stack.redis.flushall()
    for name in ("conductor", "teacher"):
        stack.restart(name)
    looks = provider.calls["GET /v1/batches/batch_0"]
    wait_until(lambda: provider.calls["GET /v1/batches/batch_0"] > looks + 2, LONG, "looks after all was lost")
    prefix = f"scratch/{waiting['key']}/attempts/"
    assert len(read_markers(stack.store, prefix)) <= 6
    assert list(stack.store.list(f"scratch/{waiting['key']}/logs/")) == []
    provider.ending = "completed"
    wait_until(
        lambda: any(row["key"] == waiting["key"] for row in stages(stack, id, "committed")), LONG, "the stage to commit"
    )
    assert set(provider.asked.values()) == {1}


def cancel(stack: Stack, id: str) -> None:
    generation = experiments.read_control(stack.store, id).generation
    experiments.write_control(stack.store, stack.redis, id, "cancel", generation)


def restart_all(stack: Stack) -> None:
    """Everything that runs dies before the cancel, and is started after it."""
    for name in ("conductor", "teacher"):
        stack.kill(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "before", [pytest.param(lambda stack: None, marks=pytest.mark.slow), restart_all], ids=["running", "after restarts"]
)
def test_cancelling_an_experiment_cancels_its_batches_remotely(
    stack: Stack, provider: BatchStandIn, before: Callable[[Stack], None]
) -> None:
    provider.ending = None
    stack.start("conductor")
    stack.start("teacher")
    id = submit(stack, provider)
    wait_until(lambda: waits_for_batches(stack, id), LONG, "a stage to wait for its batch")
    before(stack)
    cancel(stack, id)
    for name in ("conductor", "teacher"):
        if not stack.alive(name):
            stack.start(name)

    # A message that was still queued may have submitted one more, which is cancelled like the others.
    def ended() -> bool:
        closed = not list(stack.store.list(PREFIX))
        return closed and {batch["status"] for batch in provider.batches} == {"cancelled"}

    wait_until(ended, LONG, "the batches to be cancelled and closed")
    assert sum(provider.asked.values()) == len(provider.asked) > 0

    experiments.write_control(stack.store, stack.redis, id, "resume", 0)
    provider.ending = "completed"
    wait_until(lambda: stages(stack, id, "committed"), LONG, "the resumed experiment's stage")
    assert set(provider.asked.values()) == {1}


@pytest.mark.slow
def test_a_batch_that_another_experiment_waits_for_is_left_alone(stack: Stack, provider: BatchStandIn) -> None:
    provider.ending = None
    stack.start("conductor")
    stack.start("teacher")
    first, second = submit(stack, provider), submit(stack, provider)
    wait_until(lambda: waits_for_batches(stack, second), LONG, "the second experiment to wait")
    cancel(stack, first)
    wait_until(lambda: stages(stack, first, "cancelled"), LONG, "the first experiment to be cancelled")
    looks = provider.calls["GET /v1/batches/batch_0"]
    wait_until(lambda: provider.calls["GET /v1/batches/batch_0"] > looks + 2, LONG, "more looks")
    assert not any(call.endswith("/cancel") for call in provider.calls)
    provider.ending = "completed"
    wait_until(lambda: stages(stack, second, "committed"), LONG, "the second experiment's stage")
    assert set(provider.asked.values()) == {1}
