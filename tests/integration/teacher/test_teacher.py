"""The teacher worker as a real process: prompts, demonstrations, kills and wrong keys."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from shared.artifacts import CommitRef
from shared.attempts import Marker, read_markers
from shared.leases import lease_name
from shared.llm.providers.openai import OpenAIModel
from shared.llm.providers.simulated import SimulatedModel
from shared.units import Unit
from tests.integration.llm.traffic import asked_twice, start_simulator, traffic
from tests.integration.llm.units import artifact, committed, run, send, shards, unit
from tests.stack import Stack
from tests.waiting import wait_until

SIZES = {"train": 400, "dev": 20, "eval": 60}
TEACHER = SimulatedModel(provider="simulated", accuracy=0.5, price={"input": 1.0, "output": 2.0})


@pytest.fixture
def prompts(stack: Stack) -> CommitRef:
    """Prompts of the simulated world, split by the worker."""
    stack.start("teacher")
    return run(stack, unit("prompts", {**SIZES, "source": {"world": {"seed": 0, "count": 600}}}))


def teach(prompts: CommitRef, split: str = "train", stop: float = 1.0, model: Any = TEACHER, **more: Any) -> Unit:
    params = {"model": model.identity(), "split": split, "start": 0.0, "stop": stop}
    return unit("teach", params, {"prompts": prompts}, options={"name": "weak", **model.options()}, **more)


def markers(stack: Stack, given: Unit) -> list[Marker]:
    return read_markers(stack.store, given.attempts_prefix)


def test_prompts_and_nested_demonstrations(stack: Stack, prompts: CommitRef) -> None:
    log = start_simulator(stack, latency_ms=0)
    split = artifact(stack, prompts)
    assert {name: split.manifest.metrics[name] for name in SIZES} == SIZES
    of_train = {row["prompt_id"]: row for row in split.rows().to_pylist() if row["split"] == "train"}

    small = artifact(stack, run(stack, teach(prompts, stop=0.15)))
    whole = artifact(stack, run(stack, teach(prompts)))
    rows = whole.rows().to_pylist()
    assert small.rows().to_pylist() == rows[:60]
    assert [of_train[row["prompt_id"]]["rank"] for row in rows] == list(range(400))
    assert all(row["completion"] and row["output_tokens"] for row in rows)

    lines = traffic(log)
    assert len(lines) == len({line["hash"] for line in lines}) == 400
    assert (small.manifest.metrics["requests_paid"], whole.manifest.metrics["requests_paid"]) == (60, 340)
    tokens = whole.manifest.metrics
    assert whole.manifest.cost.usd == pytest.approx((tokens["input_tokens"] + 2 * tokens["output_tokens"]) / 1e6)
    assert 0 < tokens["usd_paid"] < whole.manifest.cost.usd


def test_a_killed_teacher_costs_no_answered_request(stack: Stack, prompts: CommitRef) -> None:
    log = start_simulator(stack)
    stack.kill("teacher")
    stack.start("teacher", TOUCHSTONE_REQUEST_CONCURRENCY="8")
    halves = shards(teach(prompts), 0, 200, 400)
    for half in halves:
        send(stack, half)
    wait_until(lambda: len(traffic(log)) > 120, 60, "the requests to be under way")
    killed = time.time()
    stack.kill("teacher")
    stack.start("teacher")
    wait_until(lambda: not stack.redis.exists(*(lease_name(half.commit_key) for half in halves)), 20, "dead leases")
    refs = [run(stack, half) for half in halves]
    assert asked_twice(log, killed) == []
    assert sum(artifact(stack, ref).rows().num_rows for ref in refs) == 400


@pytest.mark.slow
def test_a_teacher_that_is_told_to_end_waits_for_its_answers_and_leaves_nothing_behind(
    stack: Stack, prompts: CommitRef
) -> None:
    log = start_simulator(stack)
    stack.kill("teacher")
    stack.start("teacher", TOUCHSTONE_REQUEST_CONCURRENCY="8")
    given = teach(prompts)
    send(stack, given)
    wait_until(lambda: len(traffic(log)) > 50, 60, "the requests to be under way")
    stack.kill("teacher", signal.SIGTERM)
    assert committed(stack, given) is None
    assert all(line["answered"] for line in traffic(log))
    assert not [path for path in (stack.settings.data_dir / "wal").rglob("*") if path.is_file()]
    stack.start("teacher")
    run(stack, given)
    assert len(traffic(log)) == len({line["hash"] for line in traffic(log)}) == 400


def test_a_wrong_key_ends_the_stage_at_once(stack: Stack, prompts: CommitRef) -> None:
    log = start_simulator(stack, "--api-key", "right")
    stack.kill("teacher")
    stack.start("teacher", TOUCHSTONE_API_KEYS="MY_KEY=127.0.0.1", MY_KEY="wrong-value")
    model = OpenAIModel(
        provider="openai",
        model="teacher?accuracy=0.5&seed=0",
        base_url=stack.settings.simulator_url,
        api_key="env:MY_KEY",
    )
    given = teach(prompts, model=model)
    send(stack, given)
    marker = wait_until(lambda: [one for one in markers(stack, given) if one.outcome], 30, "an outcome")[0]
    assert (marker.outcome, marker.permanent) == ("error", True)
    assert marker.message.startswith("models.weak.api_key: 401: Incorrect API key")
    assert len(traffic(log)) == 1
    assert "wrong-value" not in stack.log("teacher") + marker.message


@pytest.mark.slow
def test_an_unreachable_endpoint_makes_the_stage_wait_and_names_it(stack: Stack, prompts: CommitRef) -> None:
    given = teach(prompts, split="eval")
    send(stack, given)
    marker = wait_until(lambda: [one for one in markers(stack, given) if one.outcome], 60, "an outcome")[0]
    assert (marker.outcome, marker.permanent) == ("waiting", False)
    assert "models.weak.base_url" in marker.message and stack.settings.simulator_url in marker.message
    start_simulator(stack, latency_ms=0)

    def again() -> CommitRef | None:
        # As the conductor does: the endpoint's circuit may be open for some seconds yet.
        if all(one.outcome for one in markers(stack, given)):
            send(stack, given)
        return committed(stack, given)

    ref = wait_until(again, 60, "teach to commit", every=0.5)
    assert ref is not None and artifact(stack, ref).rows().num_rows == 60
