"""The JSON of POST /v1/experiments/plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.estimate.answered import Asked
from shared.estimate.asks import asked_model, members, requests_a_row, stage_rows
from shared.estimate.history import ALIKE, History, likeness, work_of
from shared.estimate.hours import Asking, in_batches, model_hours
from shared.estimate.quantity import Quantity
from shared.estimate.tokens import ASSUMPTION, assumed
from shared.llm.providers.base import Price
from shared.plan.model import Plan, Stage
from shared.spec.declared import provisional_keys


@dataclass(frozen=True)
class Known:
    """What was looked up beforehand: nothing of it is needed, and all of it makes the estimate better.

    `asked` and `in_ledger` are by stage, of an ensemble's by member; of a stage without an entry in `in_ledger` nothing
    is known, and `unknown` says why, or of what else it is not.
    `prompts` has the mean characters of the prompts of a split.
    """

    history: History = field(default_factory=History)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    in_ledger: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, float] = field(default_factory=dict)


NOTHING = Known()


def preview(
    name: str,
    plan: Plan,
    counts: Mapping[str, int],
    committed: Collection[str],
    known: Known = NOTHING,
    budget_usd: float | None = None,
) -> dict[str, Any]:
    """The dry run as JSON. `counts` are prompts by split, `committed` the keys of stages that are done.

    Requests are an upper bound where they are not known one by one: about identical completions nobody is asked. Tokens
    and dollars are of the requests that would be sent: those in the ledger, and those that an earlier stage of the plan
    sends, are left out.
    """
    provisional = provisional_keys(plan)
    whole = [_Row(stage, plan, counts, stage.key in committed, known) for stage in plan.stages.values()]
    rows = [one for row in whole for one in (row, *row.members)]
    tokens = {way: sum((row.tokens[way] for row in rows), Quantity()) for way in ("input", "output")}
    usd = sum((row.usd for row in rows if row.usd is not None), Quantity())
    asking = [row for row in rows if row.sent]
    pace = {
        name: model_hours(plan, [row.asking for row in asking if row.model == name])
        for name in dict.fromkeys(row.model for row in asking)
    }
    devices = [row for row in rows if row.stage.kind in ALIKE and not row.reused]
    return {
        "name": name,
        "stages": [row.as_json(row.stage.key in provisional) for row in whole],
        "counts": {"stages": len(whole), "reused": sum(row.reused for row in whole)},
        "provisional": bool(provisional),
        "requests": sum(row.requests for row in rows),
        "in_ledger": sum(row.in_ledger or 0 for row in rows),
        "samples": sum(row.samples for row in rows),
        "tokens": {way: round(found.expected) for way, found in tokens.items()},
        "tokens_range": {way: [round(end) for end in found.range] for way, found in tokens.items()},
        "cost_usd": usd.expected,
        "cost_range": usd.range,
        "unknown_prices": sorted({row.model for row in asking if row.usd is None}),
        "hours": {name: hours for name, hours in pace.items() if hours is not None},
        "device_hours": sum(row.seconds.expected for row in devices if row.seconds is not None) / 3600,
        "device_unknown": sum(row.seconds is None for row in devices),
        "budget_usd": budget_usd,
        "over_budget": budget_usd is not None and usd.high > budget_usd,
        "assumption": ASSUMPTION,
    }


class _Row:
    """One stage's estimate; of a stage that asks an ensemble, `members` are each member's."""

    def __init__(self, stage: Stage, plan: Plan, counts: Mapping[str, int], reused: bool, known: Known) -> None:
        self.stage = stage
        self.reused = reused
        self.rows = stage_rows(stage, plan, counts)
        self.model = str(stage.options.get("name", "")) if asked_model(stage) is not None else ""
        asked = None if reused else known.asked.get(stage.key)
        self.requests = 0 if reused else self.rows * requests_a_row(stage, plan) if asked is None else asked.requests
        self.samples = 0 if reused or stage.kind != "sample" else self.rows * int(stage.params["n"])
        self.repeated = 0 if asked is None else asked.repeated
        self.in_ledger = known.in_ledger.get(stage.key) if self.requests else 0
        self.unknown = known.unknown.get(stage.key, "") if self.requests else ""
        self.sent = self.requests - self.repeated - (self.in_ledger or 0)
        self.later = self.sent if asked is None or stage.kind == "teach" else min(asked.later, self.sent)
        like = None if reused else likeness(stage, plan)
        self.source, self.tokens = self._tokens(plan, known, like)
        self.usd = self._usd()
        self.seconds = None if like is None else known.history.seconds(like, work_of(stage, plan, counts))
        self.asking = Asking(stage, self.sent, *self.tokens.values())
        self.hours = model_hours(plan, [self.asking]) if self.sent else None
        self.members = [_Row(member, plan, counts, reused, known) for member in members(stage)]

    def _tokens(self, plan: Plan, known: Known, like: str | None) -> tuple[str, dict[str, Quantity]]:
        if not self.requests:
            return "", {"input": Quantity(), "output": Quantity()}
        if (found := known.history.tokens(like)) is not None:
            # Rows in which nobody need be asked are in the history's mean: not in requests that are known one by one.
            exact = (self.sent - self.later) * (found.rows / found.requests if found.requests else 1.0)
            way, times = (found.input, found.output), exact + self.later / requests_a_row(self.stage, plan)
            source = f"the history of {round(found.requests):,} requests"
        else:
            way, source, times = assumed(self.stage, plan, known.prompts), "assumption", float(self.sent)
        return source, {"input": way[0].times(times), "output": way[1].times(times)}

    def _usd(self) -> Quantity | None:
        """None where the price is not known."""
        price = price_of_stage(self.stage)
        if not self.sent:
            return Quantity()
        if price is None:
            return None
        ends = zip(*((way.low, way.expected, way.high) for way in self.tokens.values()), strict=True)
        share = price.batch if in_batches(self.stage) else 1.0
        return Quantity(*(share * (given * price.input + out * price.output) / 1e6 for given, out in ends))

    def as_json(self, provisional: bool) -> dict[str, Any]:
        """An ensemble's stage shows the sums over its members."""
        rows = self.members or [self]
        tokens = {way: sum((row.tokens[way] for row in rows), Quantity()) for way in ("input", "output")}
        usd = [row.usd for row in rows if row.usd is not None]
        total = sum(usd, Quantity()) if len(usd) == len(rows) else None
        known = [row.in_ledger for row in rows if row.in_ledger is not None]
        return self._facts(provisional) | {
            "model": str(self.stage.options.get("name", "")) if self.members else self.model or None,
            "requests": sum(row.requests for row in rows),
            "repeated": sum(row.repeated for row in rows),
            "in_ledger": sum(known) if known else None,
            "in_ledger_unknown": "; ".join(dict.fromkeys(row.unknown for row in rows if row.unknown)) or None,
            "hours": max((row.hours for row in rows if row.hours is not None), default=None),
            "tokens": {way: round(found.expected) for way, found in tokens.items()},
            "tokens_range": {way: [round(end) for end in found.range] for way, found in tokens.items()},
            "tokens_from": ", ".join(dict.fromkeys(row.source for row in rows if row.source)) or None,
            "cost_usd": None if total is None else total.expected,
            "cost_range": None if total is None else total.range,
        }

    def _facts(self, provisional: bool) -> dict[str, Any]:
        return {
            "key": self.stage.key,
            "kind": self.stage.kind,
            "arms": self.stage.arms,
            "inputs": sorted(set(self.stage.inputs.values())),
            "reused": self.reused,
            "provisional": provisional,
            "rows": self.rows,
            "samples": self.samples,
            "batch": any(in_batches(row.stage) and row.sent for row in self.members or [self]),
            "device_hours": None if self.seconds is None else self.seconds.expected / 3600,
        }


def price_of_stage(stage: Stage) -> Price | None:
    """What the plan was told of the price, in dollars per million tokens; a simulated model without one is free."""
    given = stage.options.get("price")
    if isinstance(given, Mapping):
        return Price(**{name: given[name] for name in Price.model_fields if given.get(name) is not None})
    model = asked_model(stage)
    return Price(input=0.0, output=0.0) if model is not None and model["provider"] == "simulated" else None
