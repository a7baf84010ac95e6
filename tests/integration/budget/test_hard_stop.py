"""Budgets against the stand-in's own bill: what arrived there must never cost more, whatever is killed or wiped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import experiments
from shared.budget import NANO, counted, grants_folder, read_accounts
from shared.llm.providers.simulated import SimulatedModel
from shared.world.models import TeacherSettings
from shared.world.names import encode
from tests.integration.budget.test_budget import (
    experiment,
    flushing,
    open_purses,
    spent,
    submit,
    summary,
    teach_is_done,
    wait_paused,
)
from tests.integration.critic.rows import completions, words
from tests.integration.llm.units import artifact, made, run, unit
from tests.provider import Provider, start_provider
from tests.stack import Stack
from tests.waiting import wait_until

PRICE = {"input": 1000.0, "output": 1000.0}
EACH = 0.1
"""Dollars: 100 tokens in and out."""
FAULTS = {"latency_ms": 100, "input_tokens": [40, 40], "output_tokens": [20, 60], "prices": PRICE}


def billed(provider: Provider) -> float:
    """Dollars, for whatever arrived, answered or not."""
    return float(provider.stats()["bill"]["arrived"]["usd"])


def reasons(stack: Stack, id: str) -> list[str]:
    return [row["reason"] for row in summary(stack, id)["stages"] if row["state"] == "waiting"]


@pytest.mark.slow
def test_kills_of_workers_and_conductor_and_wipes_each_second_never_pass_the_budget(stack: Stack) -> None:
    provider = start_provider(stack, json.dumps(FAULTS))
    for name in ("conductor", "conductor-2", "teacher-1", "teacher-2", "teacher-3"):
        stack.start(name, TOUCHSTONE_SHARD_ROWS="25")
    for number in (1, 2, 3):
        stack.wait_ready(f"teacher-{number}", 90)
    budget = 250 * EACH
    id = submit(stack, 500, budget_usd=budget)
    with flushing(stack):
        for kill, victim in enumerate(("teacher-1", "conductor", "teacher-2", "teacher-1"), start=1):
            wait_until(lambda kill=kill: provider.stats()["requests"] > 25 * kill, 120, "requests")  # type: ignore[misc]
            stack.restart(victim)
            assert billed(provider) <= budget
    # What a killed worker had leased is held back for a lease's lifetime after each wipe.
    wait_paused(stack, id)
    wait_until(lambda: not open_purses(stack), 30, "the purses to close")
    assert billed(provider) <= spent(stack, id) + 1e-6 <= budget + 2e-6


def test_a_budget_that_no_request_fits_in_sends_none(stack: Stack) -> None:
    provider = start_provider(stack, json.dumps(FAULTS))
    for name in ("conductor", "teacher"):
        stack.start(name)
    ids = [submit(stack, 20, budget_usd=usd) for usd in (0.0, EACH / 10)]
    for id in ids:
        wait_paused(stack, id)
        assert all("a request needs up to $" in reason and f"resume {id} --budget N" in reason
                   for reason in reasons(stack, id))  # fmt: skip
    assert provider.stats()["requests"] == 0


@pytest.mark.slow
def test_an_endpoint_that_ignores_max_tokens_passes_the_budget_by_one_answer_of_a_process_at_most(
    stack: Stack,
) -> None:
    """Its first answer, which no bound held, tells what the others may cost."""
    provider = start_provider(stack, json.dumps(FAULTS | {"output_tokens": [960, 960], "heed_max_tokens": False}))
    for name in ("conductor", "teacher"):
        stack.start(name)
    asked: dict[str, Any] = {"provider": "openai", "base_url": provider.base_url, "max_tokens": 10, "price": PRICE}
    teacher = asked | {"model": encode(TeacherSettings(accuracy=0.5)), "limits": {"concurrency": 30}}
    id = experiments.new_id()
    made_of = experiment(100, teacher, budget_usd=30.5)
    experiments.create(stack.store, stack.redis, made_of, "", id)
    wait_paused(stack, id)
    wait_until(lambda: not open_purses(stack), 30, "the purse to close")
    # A dollar each.
    assert 28 <= billed(provider) <= 31 and spent(stack, id) == pytest.approx(billed(provider), abs=1e-6)


@pytest.mark.slow
def test_every_member_of_an_ensemble_pays_from_the_budget(stack: Stack) -> None:
    provider = start_provider(stack, json.dumps(FAULTS))
    for name in ("conductor", "critic"):
        stack.start(name)
    id = submit(stack, 20, budget_usd=1000.0, stage_budgets_usd={"label": 100.0})
    members = [SimulatedModel(provider="simulated", error_rate=rate).identity() for rate in (0.0, 0.2)]
    params = {
        "pairs": "on_policy",
        "order": "both",
        "critic": {"provider": "ensemble", "vote": "mean", "members": [{"critic": one} for one in members]},
    }
    reached = {"name": "member", "max_tokens": 64, "price": PRICE, "limits": {"concurrency": 8}}
    options = {"name": "both", "members": [reached, reached], "budget": True}
    samples = made(stack, "sample", completions(words(1), words(2)), {"prompts": 30})
    given = unit("label", params, {"samples": samples}, options=options).model_copy(update={"experiment": id})
    manifest = artifact(stack, run(stack, given, 120)).manifest
    accounts = read_accounts(info.name for info in stack.store.list(grants_folder(id))).values()
    assert provider.stats()["distinct"] == 120 == manifest.metrics["requests"]
    assert manifest.cost.usd == pytest.approx(billed(provider), abs=1e-6)
    assert counted(accounts, "label") / NANO == pytest.approx(billed(provider), abs=1e-6)
    assert manifest.metrics["usd_by_experiment"] == {id: pytest.approx(billed(provider), abs=1e-6)}


@pytest.mark.slow
def test_of_two_experiments_the_one_that_asked_pays_and_both_say_what_it_cost(stack: Stack) -> None:
    provider = start_provider(stack, json.dumps(FAULTS))
    stack.start("conductor")
    first, second = (submit(stack, 60, budget_usd=100.0) for _ in range(2))
    stack.start("teacher")
    for id in (first, second):
        teach_is_done(stack, id)
    wait_until(lambda: not open_purses(stack), 30, "the purses to close")
    shown = [summary(stack, id) for id in (first, second)]
    assert [one["cost_usd"] for one in shown] == [pytest.approx(billed(provider), abs=1e-6), 0.0]
    assert [one["standalone_usd"] for one in shown] == [pytest.approx(billed(provider), abs=1e-6)] * 2
    assert [spent(stack, id) for id in (first, second)] == [pytest.approx(billed(provider), abs=1e-6), 0.0]
