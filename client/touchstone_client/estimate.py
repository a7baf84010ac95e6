"""A plan in the terminal: what each kind of stage would ask for, and what that costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from touchstone_client.listings import Column, print_table

Plan = Mapping[str, Any]
Stage = Mapping[str, Any]

COLUMNS = (
    Column("stage"),
    Column("reused", right=True),
    Column("asks", wraps=True),
    Column("requests", right=True),
    Column("ledger", right=True),
    Column("in", right=True),
    Column("out", right=True),
    Column("dollars", right=True),
    Column("hours", right=True),
)


@dataclass(frozen=True)
class Amount:
    """What is expected, and the range that it lies in."""

    expected: float
    low: float
    high: float

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], value: str, range: str, way: str | None = None) -> Amount:
        """The sum over rows of an amount and its range."""
        ends = [
            (row[value][way], *row[range][way]) if way else (row[value], *row[range])
            for row in rows
            if row.get(value) is not None
        ]
        return cls(*(sum(column) for column in zip(*ends, strict=True))) if ends else cls(0, 0, 0)


def print_plan(plan: Plan, console: Console) -> None:
    """One row for each kind of stage and model that it asks; then the totals."""
    groups: dict[tuple[str, str], list[Stage]] = {}
    for stage in plan["stages"]:
        groups.setdefault((stage["kind"], stage.get("model") or ""), []).append(stage)
    rows = [_row(kind, model, stages) for (kind, model), stages in groups.items()]
    print_table(console, COLUMNS, rows, "no stages")
    for line in totals(plan):
        console.print(Text(line), soft_wrap=True)
    if any("assumption" in (stage.get("tokens_from") or "") for stage in plan["stages"]):
        console.print(Text(f"Tokens {plan['assumption']}.", style="dim"))


def totals(plan: Plan) -> list[str]:
    """What the whole plan comes to, a line each."""
    counts = plan["counts"]
    known = plan.get("in_ledger") or 0
    first = (
        f"{plan['name']}: {counts['stages']} stages, {counts['reused']} reused, at most {plan['requests']:,} requests"
    )
    lines = [first + (f", {known:,} of them answered in the ledger" if known else "")]
    if plan["requests"]:
        ways = (f"{_tokens(plan, 'input')} in", f"{_tokens(plan, 'output')} out")
        lines.append(f"tokens: {', '.join(ways)}; {cost(plan)}")
    hours = [f"{name} {_hours(value)}" for name, value in plan["hours"].items()]
    if hours:
        lines.append(f"hours at the spec's limits, or within a batch's day: {', '.join(hours)}")
    if plan["device_hours"]:
        unknown = f", and {plan['device_unknown']} stages like none before" if plan["device_unknown"] else ""
        lines.append(f"device hours: {_hours(plan['device_hours'])}{unknown}")
    if plan.get("budget_usd") is not None:
        passes = "the high end of the estimate passes it" if plan["over_budget"] else "the estimate stays within it"
        lines.append(f"budget ${money(plan['budget_usd'])}: {passes}")
    if power := plan.get("power"):
        lines.extend(sees(power))
    lines.extend(f"warning: {warning}" for warning in plan.get("warnings", ()))
    if plan["provisional"]:
        lines.append("provisional: something in the spec is only declared, so it cannot be submitted as it is")
    return lines


def sees(power: Mapping[str, Any]) -> list[str]:
    """What the primary contrast will be able to see, and a warning where that is more than delta."""
    size = f"{power['prompts']:,} prompts × {power['seeds']} seed{'' if power['seeds'] == 1 else 's'}"
    unit = power.get("unit", "points")
    digits = 1 if unit == "points" else 3
    wide, seen = (
        f"{power[name]:.{digits}f} ({power[f'{name}_range'][0]:.{digits}f} to {power[f'{name}_range'][1]:.{digits}f})"
        for name in ("half_width", "smallest_gain")
    )
    lines = [
        f"{power['contrast']} under {power['evaluation']}, {size}: an interval of ±{wide} {unit}; the smallest gain "
        f"seen in {power['share']:.0%} of such experiments is {seen}, from {power['source']}"
    ]
    if power["delta_in_reach"] is False:
        needed = power["prompts_needed"]
        cure = f"about {needed:,} prompts" if needed else "more seeds: prompts alone cannot"
        lines.append(
            f"warning: delta, {power['delta']:g} {unit}, is out of reach, so the verdict will likely be inconclusive "
            f"unless the arms differ by much more; an interval of ±0.7 delta takes {cure}"
        )
    return lines


def cost(plan: Plan) -> str:
    """`$12.30 (3.10 to 41.00)`, and whose price is not known."""
    low, high = plan["cost_range"]
    said = f"${money(plan['cost_usd'])}" + (f" ({money(low)} to {money(high)})" if high else "")
    unknown = plan["unknown_prices"]
    return said + (f", without {', '.join(unknown)}: unknown price" if unknown else "")


def money(value: float) -> str:
    """Dollars without the sign: `0`, `0.0042`, `0.35`, `12.30`, `2,745`."""
    if value == 0:
        return "0"
    if value < 0.01:
        return f"{value:.2g}"
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def compact(value: float) -> str:
    """A count in at most six characters: `9,999`, `123k`, `7.6M`, `1,200M`."""
    if value < 10_000:
        return f"{value:,.0f}"
    if value < 999_500:
        return f"{value / 1e3:.0f}k"
    return f"{value / 1e6:,.1f}M" if value < 99_950_000 else f"{value / 1e6:,.0f}M"


def _row(kind: str, model: str, stages: Sequence[Stage]) -> tuple[str, ...]:
    reused = f"{sum(bool(stage['reused']) for stage in stages)}/{len(stages)}"
    if not model:
        seconds = [stage["device_hours"] for stage in stages if stage.get("device_hours") is not None]
        return (kind, reused, "", "", "", "", "", "", _hours(sum(seconds)) if seconds else "")
    asked = [stage for stage in stages if stage["requests"]]
    hours = [stage["hours"] for stage in stages if stage.get("hours") is not None and not stage.get("batch")]
    # Batches are answered side by side.
    hours += [max(batches)] if (batches := [stage["hours"] or 0.0 for stage in stages if stage.get("batch")]) else []
    tokens = [compact(Amount.of(stages, "tokens", "tokens_range", way).expected) for way in ("input", "output")]
    return (
        kind,
        reused,
        model,
        f"{sum(stage['requests'] for stage in stages):,}",
        _in_ledger(asked),
        *tokens,
        _dollars(asked),
        _hours(sum(hours)) if hours else "",
    )


def _in_ledger(stages: Sequence[Stage]) -> str:
    """A question mark stands for those of which it is not known."""
    known = [stage["in_ledger"] for stage in stages if stage["in_ledger"] is not None]
    unknown = any(stage["in_ledger"] is None or stage.get("in_ledger_unknown") for stage in stages)
    said = compact(sum(known)) if sum(known) or not unknown else ""
    return said + ("+?" if said and unknown else "?" if unknown else "")


def _dollars(stages: Sequence[Stage]) -> str:
    if any(stage["cost_usd"] is None for stage in stages):
        return "unknown\nprice"
    found = Amount.of(stages, "cost_usd", "cost_range")
    return money(found.expected) + (f"\n{money(found.low)}–{money(found.high)}" if found.high else "")


def _tokens(plan: Plan, way: str) -> str:
    low, high = plan["tokens_range"][way]
    return f"{compact(plan['tokens'][way])} ({compact(low)} to {compact(high)})"


def _hours(value: float) -> str:
    if value == 0 or value >= 0.1:
        return f"{value:,.1f}"
    return f"{value:.2f}" if value >= 0.01 else "<0.01"
