"""Experiments take turns also at the workers that ask: real conductor, queue and teacher, one worker process."""

from __future__ import annotations

from typing import Any

import pytest

from shared import experiments
from tests.integration.llm.traffic import start_simulator, traffic
from tests.stack import Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

TEACHER = {"provider": "simulated", "accuracy": 0.5, "limits": {"requests_per_minute": 1200}}


def submit(stack: Stack, seed: int, train: int) -> str:
    """An experiment whose paid work is one teacher's completions of its own prompts."""
    source = {"world": {"seed": seed, "count": train + 400}}
    spec = spec_with(
        prompts={"source": source, "train": train, "dev": 5, "eval": 5},
        models__weak=TEACHER,
        arms={"a": {"sft": {"teacher": "weak"}}, "b": {"sft": {"teacher": "weak", "args": {"learning_rate": 0.1}}}},
        contrasts={"headline": ["a", "b"]},
        evaluations={"wins": {"protocol": "pairwise", "judge": "critic", "reference": "weak", "temperature": [0.0]}},
        primary={"evaluation": "wins@0.0"},
        policies={"toy": {"model": "model:base"}},
    )
    made = resolved(spec).model_copy(update={"policies": {"toy": {"uploaded": "0" * 64}}})
    id = experiments.new_id()
    experiments.create(stack.store, stack.redis, made, "", id)
    return id


def teaching(stack: Stack, id: str) -> list[dict[str, Any]]:
    found = experiments.read_summary(stack.redis, stack.store, id) or {}
    return [row for row in found.get("stages", []) if row["kind"] == "teach"]


def done(stack: Stack, id: str) -> bool:
    rows = teaching(stack, id)
    return bool(rows) and all(row["state"] == "committed" for row in rows)


@pytest.mark.slow
def test_a_small_experiment_gets_a_worker_although_a_big_one_has_them_all(stack: Stack) -> None:
    """Four threads, each with a shard of the big one that takes minutes at this rate; and more of them queued."""
    log = start_simulator(stack, latency_ms=50)
    stack.start("conductor", TOUCHSTONE_SHARD_ROWS="600")
    stack.start("teacher")
    big = submit(stack, 1, 6000)
    wait_until(lambda: len(traffic(log)) > 80, 90, "the big one to be under way")
    small = submit(stack, 2, 20)
    before = len(traffic(log))
    wait_until(lambda: done(stack, small), 90, "the small one to be taught")
    # Far fewer than one shard of the big one, of which four are at work.
    assert len(traffic(log)) - before < 4 * 600 / 2
    assert not done(stack, big) and any(row["state"] == "running" for row in teaching(stack, big))
    # Making room cost nothing: no answer was asked for twice, and no attempt counts against the stage.
    hashes = [line["hash"] for line in traffic(log) if line["answered"]]
    assert len(hashes) == len(set(hashes))
    assert "makes_room" in stack.log("conductor") and "stage.failed" not in stack.log("conductor")
