"""The frontier drawn: every arm's score with its interval against what it costs to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.forest import NARROW, WIDE
from services.analyst.frontier import Frontier, Point
from services.analyst.svg import ACCENT, INK, MUTED, RULE, draw
from shared.scales import scale_of

HEIGHT = 320.0
LEFT, BOTTOM, TOP = 52.0, 48.0, 16.0
LINE = 14.0
"""Pixels from one label to the next."""
SIDE = 12.0


def frontier_figures(found: Frontier, at: str = "") -> list[str]:
    """The figure for wide and for narrow screens; `at` makes ids unique within the page."""
    return [_figure(found, layout.width, f"{at}frontier-{layout.name}") for layout in (WIDE, NARROW)]


def cost_axis(found: Frontier) -> tuple[str, dict[str, float]]:
    """The axis' name and every arm's place on it: dollars, or device hours where nothing has a price."""
    if any(point.price.alone for point in found.points):
        return "US dollars to make one model", {point.arm: point.price.alone for point in found.points}
    return "device hours to make one model", {point.arm: point.price.device_hours for point in found.points}


def _figure(found: Frontier, width: float, name: str) -> str:
    title, places = cost_axis(found)

    def paint(figure: Figure) -> None:
        box = (LEFT / width, BOTTOM / HEIGHT, (width - LEFT - 16) / width, (HEIGHT - BOTTOM - TOP) / HEIGHT)
        axes = figure.add_axes(box)
        most, low, high = _frame(axes, title, found, places)
        _line(axes, [point for point in found.points if point.on_frontier], places)
        drawn = apart(places, 0.012 * most)
        pixel = (high - low) / (HEIGHT - BOTTOM - TOP)
        labels = apart({point.arm: point.estimate for point in found.points}, LINE * pixel)
        for point in found.points:
            _point(axes, point, drawn[point.arm])
            text = f"{point.arm} {scale_of(found.unit).number(point.estimate)}"
            _label(axes, point, text, labels[point.arm], *_beside(drawn[point.arm], list(drawn.values()), most))

    best = ", ".join(point.arm for point in found.points if point.on_frontier)
    text = f"Score under {found.evaluation} against {title}. No arm is both cheaper and better than: {best}."
    return draw(width, HEIGHT, paint, name, "Cost against quality", text)


def apart(places: Mapping[str, float], least: float) -> dict[str, float]:
    """The same places, moved up so that no two are nearer than `least`: those of arms alike would hide each other."""
    found: dict[str, float] = {}
    last = float("-inf")
    for arm in sorted(places, key=lambda arm: places[arm]):
        last = found[arm] = max(places[arm], last + least)
    return found


def _frame(axes: Axes, title: str, found: Frontier, places: Mapping[str, float]) -> tuple[float, float, float]:
    """Axes whose limits hold every interval; returns the largest cost and the limits of the score."""
    most = max(places.values()) or 1.0
    scale = scale_of(found.unit)
    ends = [end for point in found.points for end in point.interval]
    margin = max(0.06 * (max(ends) - min(ends)), 5 * 0.1**scale.digits)
    low, high = min(ends) - margin, max(ends) + margin
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=3, labelsize=11)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.04 * most, 1.12 * most)
    axes.set_ylim(low, high)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(title, fontsize=11, color=MUTED)
    axes.set_ylabel(found.evaluation, fontsize=11, color=MUTED)
    return most, low, high


def _line(axes: Axes, best: list[Point], places: dict[str, float]) -> None:
    """Steps: up to a dearer arm nothing better can be had."""
    ordered = sorted(best, key=lambda point: (places[point.arm], point.estimate))
    axes.step(
        [places[point.arm] for point in ordered],
        [point.estimate for point in ordered],
        where="post",
        color=ACCENT,
        linewidth=1,
        linestyle=(0, (4, 3)),
    )


def _point(axes: Axes, point: Point, x: float) -> None:
    colour = ACCENT if point.on_frontier else INK
    axes.plot([x, x], point.interval, color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([x], [point.estimate], "D" if point.on_frontier else "o", color=colour, markersize=7)


def _beside(x: float, places: Sequence[float], most: float) -> tuple[float, str]:
    """Where a label begins or ends: beyond the arms of about the same price, on the side with room."""
    near = [other for other in places if abs(other - x) < 0.08 * most]
    return (min(near), "right") if x > 0.6 * most else (max(near), "left")


def _label(axes: Axes, point: Point, text: str, y: float, x: float, ends: str) -> None:
    axes.annotate(
        text,
        (x, y),
        (-SIDE if ends == "right" else SIDE, 0),
        textcoords="offset points",
        fontsize=11,
        color=ACCENT if point.on_frontier else INK,
        ha=ends,
        va="center",
    )
