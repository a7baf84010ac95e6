"""The frontier drawn: every arm's score with its interval against what it costs to make."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

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
LETTER = 6.4
"""Pixels that a letter of a label takes, at most."""
ELBOW, GAP = 16.0, 5.0
"""Pixels that a label's line takes to reach its height, and from its end to the label."""
APART, MOST_APART = 8.0, 0.35
"""Pixels that two arms lie apart at least, and the share of the width that all may be moved over for it."""
MOST_LABELS = 0.42
"""The share of the width that labels may take; longer names are cut, and the table has them whole."""


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
    texts = {point.arm: label(point, found.unit, int(MOST_LABELS * width / LETTER)) for point in found.points}
    right = ELBOW + GAP + LETTER * max(map(len, texts.values()))
    height = max(HEIGHT, BOTTOM + TOP + LINE * len(found.points))

    def paint(figure: Figure) -> None:
        box = (LEFT / width, BOTTOM / height, (width - LEFT - right) / width, (height - BOTTOM - TOP) / height)
        axes = figure.add_axes(box)
        least = min(APART / (width - LEFT - right), MOST_APART / len(places))
        drawn = apart(places, least * (max(places.values()) or 1.0), 0.0)
        low, high = _frame(axes, title, found, max(drawn.values()) or 1.0)
        _line(axes, [point for point in found.points if point.on_frontier], drawn)
        pixel = (high - low) / (height - BOTTOM - TOP)
        heights = apart({point.arm: point.estimate for point in found.points}, LINE * pixel, low, high)
        across = axes.get_xlim()
        elbow = (across[1] - across[0]) / (width - LEFT - right) * ELBOW
        for point in found.points:
            _point(axes, point, drawn[point.arm])
            _label(axes, point, texts[point.arm], drawn[point.arm], heights[point.arm], across[1], elbow)

    best = ", ".join(point.arm for point in found.points if point.on_frontier)
    text = f"Score under {found.evaluation} against {title}. No arm is both cheaper and better than: {best}."
    return draw(width, height, paint, name, "Cost against quality", text)


def label(point: Point, unit: str, most: int) -> str:
    """An arm's name and score in at most so many letters."""
    score = scale_of(unit).number(point.estimate)
    room = most - len(score) - 1
    name = point.arm if len(point.arm) <= room else f"{point.arm[: max(room - 1, 1)]}…"
    return f"{name} {score}"


def apart(
    places: Mapping[str, float], least: float, low: float = float("-inf"), high: float = float("inf")
) -> dict[str, float]:
    """The same places, moved as little as can be (in squares) so that no two are nearer than `least`, and all within
    `low` and `high`: those of arms alike would hide each other. Where there is no room they go on above `high`.

    Taking `least` times its rank from each leaves places that must not fall: an isotonic regression, which pooling
    neighbours solves (Barlow et al. 1972), and bounds are kept by cutting its solution.
    """
    arms = sorted(places, key=lambda arm: places[arm])
    pools: list[list[float]] = []
    for rank, arm in enumerate(arms):
        pools.append([places[arm] - rank * least])
        while len(pools) > 1 and fmean(pools[-2]) > fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    moved = [fmean(pool) for pool in pools for _ in pool]
    top = high - (len(arms) - 1) * least
    return {
        arm: max(low, min(place, top)) + rank * least for rank, (arm, place) in enumerate(zip(arms, moved, strict=True))
    }


def _frame(axes: Axes, title: str, found: Frontier, most: float) -> tuple[float, float]:
    """Axes whose limits hold every interval; returns the limits of the score."""
    scale = scale_of(found.unit)
    ends = [end for point in found.points for end in point.interval]
    margin = max(0.06 * (max(ends) - min(ends)), 5 * 0.1**scale.digits)
    low, high = min(ends) - margin, max(ends) + margin
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=3, labelsize=11)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.set_xlim(-0.04 * most, 1.04 * most)
    axes.set_ylim(low, high)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(title, fontsize=11, color=MUTED)
    axes.set_ylabel(found.evaluation, fontsize=11, color=MUTED)
    return low, high


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


def _label(axes: Axes, point: Point, text: str, x: float, y: float, edge: float, elbow: float) -> None:
    """The arm's name at `y` in the column right of the axes, and a line to it from its place, bent at their edge."""
    colour = ACCENT if point.on_frontier else INK
    axes.plot(
        [x, edge, edge + elbow], [point.estimate, point.estimate, y], color=RULE, linewidth=0.8, clip_on=False, zorder=1
    )
    axes.annotate(
        text, (edge + elbow, y), (GAP, 0), textcoords="offset points", fontsize=11, color=colour, va="center",
        annotation_clip=False,
    )  # fmt: skip
