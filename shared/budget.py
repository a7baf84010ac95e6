"""Budgets: how much an experiment may spend, and the records in the store that keep its workers within it.

    experiments/<id>/grants/<purse>.<seq>.<kind>-<stage>.<nanodollars>.<writer>    a purse may spend so much in all
    experiments/<id>/grants/<purse>.closed.<kind>-<stage>.<nanodollars>            it spent so much, and is closed

A purse belongs to one attempt in one process, or to one batch (`batch_purse`), whose requests may be out for a day. It
asks with rising `seq` numbers, and heeds an answer to its newest question alone; a question says the `limit` that it
has, which it may have lowered before. So a purse's newest records bound it: no later one is below a limit that it
still uses. A conductor writes a record, lists the folder, and answers only if all that counts stays within the budget;
else it takes its own record back. Whichever of two records was written last, its writer has seen the other: two
conductors never pass the budget together. Amounts are nanodollars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from shared.errors import Outage

NANO = 1_000_000_000
UNBOUNDED = 2**62
PaidKind = Literal["teach", "label", "judge"]
PAID_KINDS: tuple[str, ...] = get_args(PaidKind)
BATCH = "batch"
RECORD = re.compile(r"/grants/([0-9a-z]+)\.(\d{6}|closed)\.([a-z]+)-([0-9a-f]*)\.(\d+)(?:\.[0-9a-z]+)?$")


class BudgetSpent(Outage):
    """There is no money for another request: the stage waits until the budget is raised."""


@dataclass(frozen=True)
class Budget:
    """What an experiment may spend in all, and on each kind of stage. None: no bound."""

    total: int | None = None
    kinds: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, usd: float | None, by_kind: Mapping[str, float]) -> Budget | None:
        """From dollars; None where nothing is bounded."""
        if usd is None and not by_kind:
            return None
        return cls(None if usd is None else nano(usd), {kind: nano(value) for kind, value in by_kind.items()})


@dataclass(frozen=True)
class Ask:
    """A purse's question, or (with nothing `wanted`) its word that it is alive. `least` is what its next request may
    cost; `busy`: requests are in flight, so it may yet have money to spare; `reply` is the list for the answer.
    `refused` is its last word, after one conductor said no: others may not know it. `batch`: it is a batch's, which
    takes as much as there is, and is told at once where that is nothing."""

    experiment: str
    purse: str
    seq: int
    kind: str
    stage: str
    limit: int
    spent: int
    wanted: int
    least: int
    busy: bool
    reply: str
    refused: bool = False
    batch: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Account:
    """What the records say of one purse."""

    kind: str
    stage: str
    seq: int = -1
    limit: int = 0
    spent: int | None = None

    @property
    def closed(self) -> bool:
        return self.spent is not None

    @property
    def counted(self) -> int:
        """What it has spent or may still spend."""
        return self.limit if self.spent is None else self.spent


def nano(usd: float) -> int:
    return round(usd * NANO)


def dollars(amount: int) -> str:
    """`$12.50`, with more digits where it is little."""
    usd = amount / NANO
    return f"${usd:.2f}" if usd >= 0.1 or not usd else f"${usd:.3g}"


def batch_purse(id: str) -> str:
    """The purse of the batch with this id of ours."""
    return f"{BATCH}{id.lower()}"


def batches_out(accounts: Mapping[str, Account]) -> list[Account]:
    """The accounts of batches that are not closed: what they do not spend comes back when they end."""
    return [account for purse, account in accounts.items() if purse.startswith(BATCH) and account.limit > 0
            and not account.closed]  # fmt: skip


def grants_folder(experiment: str) -> str:
    return f"experiments/{experiment}/grants/"


def grant_name(ask: Ask, limit: int, writer: str) -> str:
    """The record that lets the asker's purse spend `limit` in all."""
    folder = grants_folder(ask.experiment)
    return f"{folder}{ask.purse}.{ask.seq:06d}.{ask.kind}-{ask.stage[:12]}.{limit}.{writer}"


def closed_name(experiment: str, purse: str, kind: str, stage: str, spent: int) -> str:
    return f"{grants_folder(experiment)}{purse}.closed.{kind}-{stage[:12]}.{spent}"


def read_accounts(names: Iterable[str]) -> dict[str, Account]:
    """Every purse's account, from the records' names in whatever order."""
    accounts: dict[str, Account] = {}
    for name in names:
        if (match := RECORD.search(name)) is None:
            continue
        purse, seq, kind, stage, amount = match[1], match[2], match[3], match[4], int(match[5])
        account = accounts.setdefault(purse, Account(kind, stage))
        if seq == "closed":
            account.spent = max(amount, account.spent or 0)
        elif int(seq) > account.seq:
            account.seq, account.limit = int(seq), amount
        elif int(seq) == account.seq:
            account.limit = max(account.limit, amount)
    return accounts


def counted(accounts: Iterable[Account], kind: str | None = None) -> int:
    """What was spent or may be, in all or for a kind of stage."""
    return sum(account.counted for account in accounts if kind in (None, account.kind))


def left(budget: Budget, accounts: Iterable[Account], kind: str) -> int:
    """What a stage of this kind may still be given; negative where too much is out."""
    known = list(accounts)
    rooms = [] if budget.total is None else [budget.total - counted(known)]
    if kind in budget.kinds:
        rooms.append(budget.kinds[kind] - counted(known, kind))
    return min(rooms, default=UNBOUNDED)
