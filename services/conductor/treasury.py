"""Money: answers purses that ask for some, so that an experiment never spends more than its budget.

`decide` is pure: who gets how much of what is left. `Treasury` writes the records of `shared/budget.py`, which says why
two conductors cannot pass a budget together.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
from ulid import ULID

from shared.budget import (
    BATCH,
    NANO,
    Account,
    Ask,
    Budget,
    batches_out,
    counted,
    dollars,
    grant_name,
    grants_folder,
    left,
    read_accounts,
)
from shared.store import ObjectStore

FORGOTTEN = timedelta(hours=1)
UNPAID = re.compile(rf"/{BATCH}[^./]*\.closed\.[^./]*\.0$")
"""The record of a batch that was never submitted."""
ALIVE = 6.0
"""Seconds for which a purse that was heard may give money back; it says a word a second."""
REPLY_SECONDS = 60


@dataclass(frozen=True)
class Decision:
    """`limit`: what the purse may spend in all from now on. None: nothing now; with `final` nothing at all."""

    ask: Ask
    limit: int | None = None
    final: bool = False


def decide(budget: Budget, accounts: Mapping[str, Account], asks: Sequence[Ask], others_busy: bool) -> list[Decision]:
    """Answers to `asks`, which lie in the order of their age. Each gets a share of what is left, at least what its next
    request may cost, and less and less as the end nears; a batch gets all that it can use. None is refused for good
    while somebody may give money back: others wait moments for each other, but not hours for a batch.
    """
    known = {name: replace(account) for name, account in accounts.items()}
    known |= {ask.purse: Account(ask.kind, ask.stage, ask.seq, ask.limit) for ask in asks}
    granted: dict[str, Decision] = {}
    for index, ask in enumerate(asks):
        room = left(budget, known.values(), ask.kind)
        share = max(room if ask.batch else room // (2 * (len(asks) - index)), ask.least)
        extra = min(ask.wanted, share, room)
        if extra >= ask.least:
            known[ask.purse].limit += extra
            granted[ask.purse] = Decision(ask, known[ask.purse].limit)
    wait = others_busy or bool(granted) or any(ask.busy or ask.limit > ask.spent for ask in asks)
    out = bool(batches_out(accounts))
    return [granted.get(ask.purse, Decision(ask, final=not wait and not (ask.batch and out))) for ask in asks]


@dataclass
class Till:
    """One experiment's money as this conductor knows it. Times are monotonic."""

    accounts: dict[str, Account] = field(default_factory=dict)
    heard: dict[str, tuple[float, Ask]] = field(default_factory=dict)
    pending: dict[str, Ask] = field(default_factory=dict)
    granted: dict[str, Decision] = field(default_factory=dict)
    blocked: dict[str, Ask] = field(default_factory=dict)
    """By stage, what was asked for when there was nothing left."""
    looked: float = -1e9

    def busy_besides(self, asks: Iterable[Ask], now: float) -> bool:
        """Whether some other purse that is alive may give money back."""
        asking = {ask.purse for ask in asks}
        return any(
            now - at < ALIVE and purse not in asking and not self._closed(purse) and not self._empty(ask)
            for purse, (at, ask) in self.heard.items()
        )

    def _empty(self, ask: Ask) -> bool:
        """Whether a purse has nothing, by its last word, and was given nothing since."""
        given = self.granted.get(ask.purse)
        return (
            bool(ask.wanted) and not ask.busy and ask.limit <= ask.spent and (given is None or given.ask.seq < ask.seq)
        )

    def spent(self) -> int:
        """What is spent for certain: closed purses', and what open ones last said."""
        return sum(
            account.counted if account.closed else min(account.limit, self._said(purse))
            for purse, account in self.accounts.items()
        )

    def forget(self, now: float) -> None:
        """Drop purses that were not heard for long."""
        self.heard = {purse: (at, ask) for purse, (at, ask) in self.heard.items() if now - at < 10 * ALIVE}
        self.granted = {purse: decision for purse, decision in self.granted.items() if purse in self.heard}

    def _closed(self, purse: str) -> bool:
        return purse in self.accounts and self.accounts[purse].closed

    def _said(self, purse: str) -> int:
        return self.heard[purse][1].spent if purse in self.heard else 0


class Treasury:
    """One conductor's. Its records carry its name, and it takes back none but its own."""

    def __init__(self, store: ObjectStore, client: redis.Redis) -> None:
        self._store = store
        self._redis = client
        self._name = str(ULID()).lower()
        self._tills: dict[str, Till] = {}
        self._began = time.monotonic()

    def hear(self, ask: Ask) -> None:
        """A purse asks, or says that it is alive."""
        till = self._tills.setdefault(ask.experiment, Till())
        if ask.refused:
            till.heard[ask.purse] = (time.monotonic(), ask)
            till.blocked[ask.stage] = ask
            return
        till.heard[ask.purse] = (time.monotonic(), ask)
        if ask.wanted and ask.seq >= till.pending.get(ask.purse, ask).seq:
            till.pending[ask.purse] = ask

    def answer(self, budgets: Mapping[str, Budget | None]) -> bool:
        """Answer the purses that asked; whether anything was blocked or freed by it. Raises `Outage`, redis errors."""
        news = False
        for id, till in self._tills.items():
            budget = budgets.get(id)
            if till.pending and budget is not None:
                news |= self._answer(id, till, budget)
            till.pending.clear()
        return news

    def refresh(self, id: str, budget: Budget | None, most: float) -> None:
        """Look at an experiment's records, unless that was less than `most` seconds ago; free what may go on."""
        if budget is None:
            return
        now, till = time.monotonic(), self._tills.setdefault(id, Till())
        active = any(now - at < ALIVE for at, _ in till.heard.values())
        if now - till.looked > (1.0 if active else most):
            till.accounts = self._read(id)
            till.looked = now
            till.forget(now)
        free = [stage for stage, ask in till.blocked.items()
                if left(budget, till.accounts.values(), ask.kind) >= ask.least]  # fmt: skip
        for stage in free:
            del till.blocked[stage]

    def blocked(self, id: str, budget: Budget | None) -> dict[str, str]:
        """The stages that cannot go on without a higher budget, with the reason. One with a batch out can: the batch
        must be looked at, and may give money back."""
        till = self._tills.get(id)
        if till is None or budget is None:
            return {}
        looking = {account.stage for account in batches_out(till.accounts)}
        return {stage: _reason(id, till, budget, ask) for stage, ask in till.blocked.items()
                if stage[:12] not in looking}  # fmt: skip

    def summary(self, id: str, budget: Budget | None) -> dict[str, Any] | None:
        """What GET /v1/experiments/{id} says of an experiment's money."""
        if budget is None:
            return None
        till = self._tills.get(id, Till())
        spent = till.spent()
        return {
            "usd": None if budget.total is None else budget.total / NANO,
            "stages_usd": {kind: amount / NANO for kind, amount in budget.kinds.items()},
            "spent_usd": spent / NANO,
            "promised_usd": (counted(till.accounts.values()) - spent) / NANO,
        }

    def forget(self, id: str) -> None:
        self._tills.pop(id, None)

    def _answer(self, id: str, till: Till, budget: Budget) -> bool:
        till.accounts = self._read(id)
        till.looked = now = time.monotonic()
        asks = []
        for ask in till.pending.values():
            before = till.granted.get(ask.purse)
            if before is not None and before.ask.seq == ask.seq:
                self._reply(before)
            elif ask.purse not in till.accounts or not till.accounts[ask.purse].closed:
                asks.append(ask)
        self._take_back(till, asks)
        # A new conductor has not heard everybody yet.
        busy = till.busy_besides(asks, now) or now - self._began < ALIVE / 2
        decisions = decide(budget, till.accounts, asks, busy)
        for decision in self._write(id, till, budget, [one for one in decisions if one.limit is not None]):
            till.granted[decision.ask.purse] = decision
            self._reply(decision)
        for decision in decisions:
            if decision.ask.batch and decision.limit is None and not decision.final:
                self._reply(decision)
        refused = [one for one in decisions if one.final]
        for decision in refused:
            till.blocked[decision.ask.stage] = decision.ask
            self._reply(decision, _reason(id, till, budget, decision.ask))
        return bool(refused)

    def _take_back(self, till: Till, asks: Iterable[Ask]) -> None:
        """Record what purses gave back, so that others may have it."""
        for ask in asks:
            account = till.accounts.get(ask.purse)
            if account is not None and account.counted > ask.limit and account.seq < ask.seq:
                self._store.put(grant_name(ask, ask.limit, self._name), b"")
                account.seq, account.limit = ask.seq, ask.limit

    def _write(self, id: str, till: Till, budget: Budget, decisions: list[Decision]) -> list[Decision]:
        """Write grants, look what else was written meanwhile, take back what is too much. Returns those that stand."""
        if not decisions:
            return []
        names = {one.ask.purse: grant_name(one.ask, one.limit or 0, self._name) for one in decisions}
        for name in names.values():
            self._store.put(name, b"")
        found = set(self._names(id)) | set(names.values())
        standing = list(decisions)
        while standing and left(budget, read_accounts(found).values(), standing[-1].ask.kind) < 0:
            withdrawn = names[standing.pop().ask.purse]
            found.discard(withdrawn)
            self._store.delete([withdrawn])
        till.accounts = read_accounts(found)
        return standing

    def _read(self, id: str) -> dict[str, Account]:
        """The accounts; records that no longer count are removed."""
        found = list(self._store.list(grants_folder(id)))
        names = [info.name for info in found]
        accounts = read_accounts(names)
        gone = [name for name in names if ".closed." not in name and _purse(name) in accounts
                and accounts[_purse(name)].closed]  # fmt: skip
        # One more whenever a batch found no money, which may be every half minute for a day.
        long_ago = datetime.now(UTC) - FORGOTTEN
        gone += [info.name for info in found if UNPAID.search(info.name) and info.modified < long_ago]
        if gone:
            self._store.delete(gone)
        return accounts

    def _names(self, id: str) -> list[str]:
        return [info.name for info in self._store.list(grants_folder(id))]

    def _reply(self, decision: Decision, reason: str | None = None) -> None:
        ask = decision.ask
        answer = {"purse": ask.purse, "seq": ask.seq, "limit": decision.limit, "reason": reason}
        self._redis.rpush(ask.reply, json.dumps(answer))
        self._redis.expire(ask.reply, REPLY_SECONDS)


def _purse(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(".", 1)[0]


def _reason(id: str, till: Till, budget: Budget, ask: Ask) -> str:
    """Why a stage waits, and what to do."""
    accounts = till.accounts.values()
    spent, of, what = counted(accounts), budget.total, "budget"
    kind = budget.kinds.get(ask.kind)
    fix = f"touchstone resume {id} --budget N"
    if of is None or (kind is not None and kind - counted(accounts, ask.kind) < of - spent):
        spent, of, what = counted(accounts, ask.kind), kind or 0, f"budget of {ask.kind}"
        fix = f"touchstone resume {id} --stage-budget {ask.kind}=N"
    need = f"a request needs up to {dollars(ask.least)}"
    how = "spent, or promised to batches until they end" if batches_out(till.accounts) else "spent"
    return f"{what}: {dollars(spent)} of {dollars(of)} are {how}; {need}. Raise it: {fix}"
