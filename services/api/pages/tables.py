"""A report's tables of what both sides of a difference were made with, and of cost against quality, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import money, number
from shared.alike import alike

Data = Mapping[str, Any]

QUANTITIES = {
    "prompts": "Prompts used",
    "demonstrations": "Demonstrations trained on",
    "labels": "Pairs that the critic compared",
    "pairs": "Preference pairs trained on",
    "steps": "Gradient steps",
    "tokens": "Tokens seen in training",
    "training_flops": "FLOPs of training",
    "sampling_flops": "FLOPs of sampling",
    "usd": "US dollars",
    "device_hours": "Device hours",
    "samples": "Samples for each answer",
    "trials": "Settings and checkpoints tried on dev",
}
UNSAID = (("samples", [1.0, 1.0]), ("trials", [0.0, 0.0]))
"""What goes without saying."""
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class MatchRow:
    """One quantity of both sides; `held` says whether they had as much of it."""

    title: str
    a: str
    b: str
    held: bool


@dataclass(frozen=True)
class Match:
    """What the two arms of a difference were made with."""

    contrast: str
    a: str
    b: str
    rows: tuple[MatchRow, ...]

    @property
    def apart(self) -> str:
        """The quantities that were not held equal, in words."""
        titles = [row.title for row in self.rows if not row.held]
        return ", ".join(title if title[:2].isupper() else title[0].lower() + title[1:] for title in titles)


@dataclass(frozen=True)
class FrontierRow:
    """One arm's price for one model, and its score."""

    arm: str
    best: bool
    score: str
    alone: str
    marginal: str
    reusable: str
    spread: str
    hours: str


@dataclass(frozen=True)
class Frontier:
    """Every arm; `nets` says of differences what their points are worth less what they cost."""

    evaluation: str
    hour: str
    bases: int
    declared: bool
    rows: tuple[FrontierRow, ...]
    nets: tuple[str, ...]


def matches(report: Data, pairs: Mapping[str, tuple[str, str]]) -> list[Match]:
    """Every difference of two arms, that which decides first."""
    first = report["verdict"]["primary"]["contrast"]
    found = [
        Match(name, *pairs.get(name, ("A", "B")), _rows(sides)) for name, sides in (report.get("matches") or {}).items()
    ]
    return sorted(found, key=lambda one: one.contrast != first)


def _rows(sides: Data) -> tuple[MatchRow, ...]:
    return tuple(_match(*one) for one in sides.items() if one not in UNSAID)


def _match(quantity: str, both: tuple[float | None, float | None]) -> MatchRow:
    a, b = both
    return MatchRow(QUANTITIES.get(quantity, quantity), _amount(quantity, a), _amount(quantity, b), alike(a, b))


def _amount(quantity: str, value: float | None) -> str:
    if value is None:
        return "not known"
    if quantity == "usd":
        return money(value)
    if quantity == "device_hours":
        return number(value, 2)
    if value < 1e6:
        return f"{value:,.0f}"
    digits, power = f"{value:.2e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(RAISED)}"


def frontier(report: Data) -> Frontier | None:
    """None where the report has none."""
    found = report.get("frontier")
    if not found:
        return None
    hour = found["device_hour_usd"]
    return Frontier(
        evaluation=found["evaluation"],
        hour="" if hour is None else money(hour),
        bases=found["bases"],
        declared=any(point["price"].get("declared") for point in found["points"]),
        rows=tuple(_point(point) for point in found["points"]),
        nets=tuple(
            f"{net['contrast']}: its points at {money(net['usd_per_point'])} each, less {money(net['extra_cost'])} of "
            f"extra cost for one model, come to {money(net['estimate'])} "
            f"(95% interval {money(net['interval'][0])} to {money(net['interval'][1])})."
            for net in found["nets"]
        ),
    )


def _point(point: Data) -> FrontierRow:
    price, (low, high) = point["price"], point["interval"]
    return FrontierRow(
        arm=point["arm"],
        best=point["on_frontier"],
        score=f"{number(point['estimate'])} ({number(low)} to {number(high)})",
        alone=money(price["alone"]),
        marginal=money(price["marginal"]),
        reusable=money(price["reusable"]),
        spread=money(price["spread"]),
        hours=number(price["device_hours"], 2),
    )
