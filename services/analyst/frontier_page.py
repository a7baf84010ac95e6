"""Cost against quality as the page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from services.analyst.frontier import Frontier, Net, Point
from services.analyst.frontier_figure import frontier_figures
from shared.scales import Scale, scale_of


@dataclass(frozen=True)
class Row:
    """One arm as text."""

    arm: str
    best: bool
    score: str
    alone: str
    marginal: str
    reusable: str
    spread: str
    hours: str


@dataclass(frozen=True)
class View:
    """What the template needs."""

    evaluation: str
    hours: str
    bases: int
    figures: list[Markup]
    rows: list[Row]
    nets: list[str]


def frontier_view(found: Frontier | None, at: str = "") -> View | None:
    """None where there is nothing to show."""
    if found is None:
        return None
    price = found.device_hour_usd
    hours = (
        "Device hours have no price here: `device_hour_usd` in the spec gives them one."
        if price is None
        else f"A device hour is priced at ${dollars(price)}."
    )
    if any(point.price.declared for point in found.points):
        hours += " Recorded data count at the price that the spec declares for them, which nobody paid."
    return View(
        evaluation=found.evaluation,
        hours=hours,
        bases=found.bases,
        figures=[Markup(svg) for svg in frontier_figures(found, at)],
        rows=[_row(point, scale_of(found.unit)) for point in found.points],
        nets=[_net(one) for one in found.nets],
    )


def _row(point: Point, scale: Scale) -> Row:
    price = point.price
    hours = f"{price.device_hours:.2f}" if price.device_hours >= 0.1 else f"{price.device_hours:.4f}"
    low, high = (scale.number(end) for end in point.interval)
    score = f"{scale.number(point.estimate)} ({low} to {high})"
    return Row(
        arm=point.arm,
        best=point.on_frontier,
        score=score,
        alone=dollars(price.alone),
        marginal=dollars(price.marginal),
        reusable=dollars(price.reusable),
        spread=dollars(price.spread),
        hours=hours,
    )


def _net(one: Net) -> str:
    low, high = one.interval
    return (
        f"{one.contrast}: its points at ${dollars(one.usd_per_point)} each, less ${dollars(one.extra_cost)} of extra "
        f"cost for one model, come to {dollars(one.estimate)} dollars (95% interval {dollars(low)} "
        f"to {dollars(high)})."
    )


def dollars(value: float) -> str:
    """`12.30`, `0.0042`, `−3.10`."""
    small = value != 0 and abs(value) < 0.01
    return f"{value:.2g}".replace("-", "−") if small else f"{value:,.2f}".replace("-", "−")
