"""The money of batches: a purse for each, asked for before it is submitted and closed when its answers are taken.

Its truth is in the store alone: the conductor's grant (shared/budget.py) and the open batch with its requests' bounds.
So whoever finds the batch, on whatever host and after whatever loss, can say what it spent: an answer what its usage
costs, a request that may have been billed its bound, a batch that was never made nothing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import redis

from shared import signals
from shared.budget import NANO, Ask, BudgetSpent, closed_name
from shared.llm.batches import BatchState, Failure, OpenBatch
from shared.llm.chat import Answer, ChatRequest
from shared.llm.endpoints import Endpoint
from shared.llm.providers.base import Price
from shared.llm.purse import REPEAT, bound_of
from shared.store import ObjectStore

PATIENCE = 20.0
"""Seconds that a worker waits for the conductor's word, before it gives itself back and tries later."""


def batch_bound(request: ChatRequest, endpoint: Endpoint) -> int:
    """What a request costs at most in a batch, in nanodollars; 0 where nothing is billed."""
    if endpoint.price is None:
        return 0
    return math.ceil(bound_of(request, endpoint.price, endpoint.max_tokens) * endpoint.price.batch)


def batch_usd(price: Price | None, answer: Answer) -> float | None:
    """What an answer of a batch costs, in dollars; None where price or usage are unknown."""
    usd = None if price is None else price.of(answer)
    return None if price is None or usd is None else price.batch * usd


def affordable(batch: OpenBatch, amount: int) -> OpenBatch:
    """The batch with as many of its requests, in their order, as this many nanodollars may pay for."""
    chosen: list[tuple[str, int]] = []
    for key, bound in zip(batch.keys, batch.bounds, strict=True):
        if bound <= amount:
            chosen.append((key, bound))
            amount -= bound
    return replace(batch, keys=tuple(key for key, _ in chosen), bounds=tuple(bound for _, bound in chosen))


def spent(batch: OpenBatch, state: BatchState, price: Price | None, rows: Mapping[str, Answer | Failure]) -> int:
    """What a batch that ended cost at most, in nanodollars. Of requests without any result so many count in full as
    the provider says that it answered besides; all of them where it does not say."""
    total, answered = 0, 0
    lost: list[int] = []
    for key, bound in zip(batch.keys, batch.bounds, strict=True):
        row = rows.get(key)
        if row is None:
            lost.append(bound)
            continue
        if isinstance(row, Failure):
            total += bound if row.billed else 0
            answered += row.billed
            continue
        usd = batch_usd(price, row)
        total += bound if usd is None else math.ceil(usd * NANO - 1e-6)
        answered += 1
    billed = len(lost) if state.done is None else max(0, state.done - answered)
    return total + sum(sorted(lost, reverse=True)[:billed])


class BatchMoney:
    """One process's way to the conductor for batches; thread-safe."""

    def __init__(self, store: ObjectStore, client: redis.Redis) -> None:
        self._store = store
        self._redis = client

    def take(self, batch: OpenBatch, check: Callable[[], None]) -> int:
        """How many nanodollars the batch may cost; 0: none now, but some may come back. `check` may raise.

        Raises:
            BudgetSpent: there is none left, and none will come back.
        """
        ask = _ask(batch, wanted=sum(batch.bounds), least=max(1, min(batch.bounds)))
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            check()
            signals.send(self._redis, "purse", **ask.to_json())
            answer = self._redis.blpop([ask.reply], timeout=REPEAT)
            if answer is None:
                continue
            said = json.loads(answer[1])
            if said["reason"] is not None:
                signals.send(self._redis, "purse", **replace(ask, refused=True).to_json())
                raise BudgetSpent(said["reason"])
            return said["limit"] or 0
        return 0

    def close(self, batch: OpenBatch, amount: int) -> None:
        """Say what the batch spent; a grant that is written later counts no more. Raises `Outage`."""
        if batch.budget is None:
            return
        self._store.put(closed_name(batch.experiment, batch.purse, batch.budget, batch.stage, amount), b"")
        signals.send(self._redis, "purse", **_ask(batch, limit=amount, spent=amount).to_json())


def _ask(batch: OpenBatch, limit: int = 0, spent: int = 0, wanted: int = 0, least: int = 1) -> Ask:
    return Ask(
        experiment=batch.experiment,
        purse=batch.purse,
        seq=1,
        kind=batch.budget or "",
        stage=batch.stage,
        limit=limit,
        spent=spent,
        wanted=wanted,
        least=least,
        busy=False,
        reply=f"purses:{batch.purse}",
        batch=True,
    )
