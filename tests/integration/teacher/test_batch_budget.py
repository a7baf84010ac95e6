"""A budget over batches with real workers and a conductor: kills and wipes at every step pass and lose no money."""

from __future__ import annotations

import threading
from fnmatch import fnmatch
from typing import Any

import httpx
import pytest

from shared import experiments
from shared.budget import NANO, Account, grants_folder, read_accounts
from shared.llm.batches import PREFIX
from tests.integration.llm.batchstandin import BatchStandIn
from tests.stack import Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

LONG = 150
BUDGET = 0.25
COST = (10 + 5) * 1000 / 1e6 / 2
"""Dollars of one answer of the stand-in, at half the price."""


def submit(stack: Stack, provider: BatchStandIn, budget: float) -> str:
    id = experiments.new_id()
    price = {"input": 1000.0, "output": 1000.0}
    weak = {"provider": "openai", "model": "m", "base_url": provider.url, "mode": "batch", "price": price}
    spec = spec_with(models__weak=weak | {"max_tokens": 10}, prompts__train=40, prompts__dev=2, prompts__eval=6,
                     budget_usd=budget)  # fmt: skip
    experiments.create(stack.store, stack.redis, resolved(spec), "", id)
    return id


def teaching(stack: Stack, id: str) -> list[dict[str, Any]]:
    found = experiments.read_summary(stack.redis, stack.store, id) or {"stages": []}
    return [row for row in found["stages"] if row["kind"] == "teach" and "weak" in str(row["arms"])]


def accounts(stack: Stack, id: str) -> dict[str, Account]:
    return read_accounts(info.name for info in stack.store.list(grants_folder(id)))


def spent(stack: Stack, id: str) -> float:
    return sum(account.counted for account in accounts(stack, id).values()) / NANO


def out_of_money(stack: Stack, provider: BatchStandIn, id: str) -> bool:
    """Whether all that is left of the teacher's stages waits for a higher budget; at no time may more be spent."""
    assert provider.asked.total() * COST <= spent(stack, id) + 1e-9 <= BUDGET + 1e-9
    reasons = [str(row["reason"]) for row in teaching(stack, id) if row["state"] != "committed"]
    paused = bool(reasons) and all("are spent; a request needs up to" in reason for reason in reasons)
    return paused and all(account.closed for account in accounts(stack, id).values())


CALLS = [
    "POST /v1/batches",
    "POST /v1/files",
    "GET /v1/batches/*",
    "GET /v1/files/*/content",
    "DELETE /v1/files/*",
]
"""Patterns: which number a file has depends on which of two batches was handed in first."""


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_a_killed_worker_and_a_wiped_redis_neither_pass_the_budget_nor_lose_money(
    stack: Stack, provider: BatchStandIn, call: str
) -> None:
    killed = threading.Event()

    def kill(made: str) -> None:
        if fnmatch(made, call) and not killed.is_set():
            stack.kill("teacher")
            killed.set()

    provider.before = kill
    stack.start("conductor")
    stack.start("teacher")
    id = submit(stack, provider, BUDGET)
    wait_until(killed.is_set, LONG, "the kill")
    stack.redis.flushall()
    stack.restart("conductor")
    stack.start("teacher")
    wait_until(lambda: out_of_money(stack, provider, id), LONG, "the money to be spent", every=0.3)
    answered = provider.asked.total()
    # All that was granted and not spent came back, and was spent on further batches.
    assert spent(stack, id) == pytest.approx(answered * COST)
    assert all(account.closed for account in accounts(stack, id).values())
    assert 0.6 * BUDGET < answered * COST <= BUDGET and len(provider.batches) > 2
    # A purse is closed before its batch's files go, and those may be left to the next look at it.
    wait_until(lambda: not list(stack.store.list(PREFIX)) and not provider.files, LONG, "all batches to be put away")

    stack.start("api")
    stack.wait_ready("api")
    raised = httpx.post(f"{stack.api_url}/v1/experiments/{id}/resume", json={"budget_usd": 100}, timeout=30)
    assert raised.status_code == 200, raised.text
    wait_until(lambda: {row["state"] for row in teaching(stack, id)} == {"committed"}, LONG, "the rest", every=0.3)
    assert set(provider.asked.values()) == {1} and provider.asked.total() > answered
    assert spent(stack, id) == pytest.approx(provider.asked.total() * COST)


@pytest.mark.slow
def test_a_batch_that_is_out_when_the_money_ends_is_waited_for_and_not_cancelled(
    stack: Stack, provider: BatchStandIn
) -> None:
    provider.ending = None
    stack.start("conductor", TOUCHSTONE_SHARD_ROWS="10")
    stack.start("teacher")
    id = submit(stack, provider, BUDGET)

    def waits() -> bool:
        return any("wait for money that is promised to batches" in str(row["reason"]) for row in teaching(stack, id))

    wait_until(waits, LONG, "a shard to wait for money")
    looks = provider.calls["GET /v1/batches/batch_0"]
    wait_until(lambda: provider.calls["GET /v1/batches/batch_0"] > looks + 3, LONG, "more looks")
    assert not any(call.endswith("/cancel") for call in provider.calls)
    provider.ending = "completed"
    wait_until(lambda: out_of_money(stack, provider, id), LONG, "the money to be spent", every=0.3)
    assert set(provider.asked.values()) == {1}
