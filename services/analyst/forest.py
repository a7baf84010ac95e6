"""The forest plot: every contrast's estimate and interval, the delta band, and the primary set apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from services.analyst.contrasts import ContrastResult
from services.analyst.model import Report
from services.analyst.svg import ACCENT, BAND, HIGHLIGHT, INK, MUTED, PAPER, RULE, draw
from shared.scales import Scale, scale_of

HEAD = 30.0
ROW = 22.0
GAP = 8.0
TOP = 16.0
AXIS = 46.0
TABLE = "All numbers are in the table of contrasts."


@dataclass(frozen=True)
class Layout:
    """Pixels: the whole width, what row labels take on the left and numbers on the right."""

    name: str
    width: float
    left: float
    right: float


WIDE = Layout("wide", 880, 160, 190)
NARROW = Layout("narrow", 348, 96, 10)


@dataclass(frozen=True)
class Line:
    """One line of the plot at `y` pixels from the top: a contrast's heading, or one of its results."""

    y: float
    text: str
    formula: str = ""
    result: ContrastResult | None = None
    primary: bool = False


def forests(report: Report, at: str = "") -> list[str]:
    """The plots of each unit that contrasts are in, wide and narrow; the primary's first. Likelihoods, which measure
    imitation, have one only where the primary is one."""
    primary = report.evaluations[report.verdict.evaluation].unit
    shown = [primary, *(one.unit for one in report.evaluations.values() if one.in_points or not one.imitation)]
    drawn = [forest(report, layout, at, unit) for unit in dict.fromkeys(shown) for layout in (WIDE, NARROW)]
    return [svg for svg in drawn if svg]


def forest(report: Report, layout: Layout, at: str = "", unit: str | None = None) -> str | None:
    """The plot of all contrasts in a unit, by default the primary's; None if none is there yet. `at` makes its ids
    unique within the page. Delta is drawn in its own unit alone."""
    primary = report.evaluations[report.verdict.evaluation].unit
    unit = primary if unit is None else unit
    lines, height = _lines(report, unit)
    delta = report.verdict.delta if unit == primary else None
    scale = scale_of(unit)
    if not any(line.result for line in lines):
        return None
    layout = _fitted(layout, lines)

    def paint(figure: Figure) -> None:
        whole = height + AXIS
        span = (layout.width - layout.left - layout.right) / layout.width
        axes = figure.add_axes((layout.left / layout.width, AXIS / whole, span, height / whole))
        axes.set_ylim(height, 0)
        axes.set_xlim(*_range(lines, delta, scale))
        _frame(axes, delta, scale)
        for line in lines:
            _heading(axes, line, layout) if line.result is None else _row(axes, line, line.result, layout, scale)

    title = f"Contrasts between arms, in {scale.many}"
    name = "forest" if unit == primary else f"forest-{re.sub('[^a-z0-9]+', '-', unit.lower()).strip('-')}"
    text = _description(report, scale) if unit == primary else TABLE
    return draw(layout.width, height + AXIS, paint, f"{at}{name}-{layout.name}", title, text)


def _fitted(layout: Layout, lines: list[Line]) -> Layout:
    """Room on the left for the longest evaluation's name, at 7 pixels a letter."""
    longest = max(len(line.text) for line in lines if line.result)
    return replace(layout, left=max(layout.left, 16 + 7.0 * longest))


def _lines(report: Report, unit: str) -> tuple[list[Line], float]:
    lines: list[Line] = []
    y = TOP
    verdict = report.verdict
    for one in sorted(report.contrasts, key=lambda one: one.contrast.name != verdict.contrast):
        results = {name: result for name, result in one.results.items() if report.evaluations[name].unit == unit}
        if not results:
            continue
        lines.append(Line(y + HEAD / 2, one.contrast.name, one.contrast.formula))
        y += HEAD
        for name, result in results.items():
            primary = (one.contrast.name, name) == (verdict.contrast, verdict.evaluation)
            lines.append(Line(y + ROW / 2, name, result=result, primary=primary))
            y += ROW
        y += GAP
    return lines, y


def _range(lines: list[Line], delta: float | None, scale: Scale) -> tuple[float, float]:
    """Limits that hold every interval, zero and delta."""
    ends = [end for line in lines if line.result for end in (*line.result.interval, *line.result.decision_interval)]
    ends += [0.0, *([delta, -delta] if delta is not None else [])]
    low, high = min(ends), max(ends)
    margin = max(0.06 * (high - low), 5 * 0.1**scale.digits)
    return low - margin, high + margin


def _frame(axes: Axes, delta: float | None, scale: Scale) -> None:
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=4, labelsize=12)
    axes.grid(axis="x", color=RULE, linewidth=0.6, alpha=0.55)
    axes.set_axisbelow(True)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_xlabel(f"difference in {scale.many}", fontsize=12)
    if delta is None:
        return
    if delta > 0:
        axes.axvspan(-delta, delta, color=BAND, linewidth=0, zorder=0)
    axes.axvline(delta, color=ACCENT, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"δ = {scale.number(delta)}",
        (delta, 0),
        (5, 0),
        textcoords="offset points",
        color=ACCENT,
        fontsize=11,
        va="top",
    )


def _heading(axes: Axes, line: Line, layout: Layout) -> None:
    side = blended_transform_factory(axes.figure.transFigure, axes.transData)
    axes.text(0.004, line.y + 4, line.text, transform=side, fontsize=13, weight="bold", va="center", clip_on=False)
    if layout.name == "wide":
        behind = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
        axes.text(
            layout.left / layout.width,
            line.y + 4,
            line.formula,
            transform=side,
            fontsize=12,
            color=MUTED,
            va="center",
            clip_on=False,
            bbox=behind,
        )


def _row(axes: Axes, line: Line, result: ContrastResult, layout: Layout, scale: Scale) -> None:
    colour = ACCENT if line.primary else INK
    side = blended_transform_factory(axes.figure.transFigure, axes.transData)
    if line.primary:
        axes.axhspan(line.y - ROW / 2, line.y + ROW / 2, color=HIGHLIGHT, linewidth=0, zorder=0.5)
    decided = result.decision_interval
    if decided != result.interval:
        axes.plot(decided, [line.y, line.y], color=colour, linewidth=1, solid_capstyle="butt")
        axes.plot(decided, [line.y, line.y], "|", color=colour, markersize=7)
    width = 3.2 if line.primary else 2.2
    axes.plot(result.interval, [line.y, line.y], color=colour, linewidth=width, solid_capstyle="butt")
    axes.plot([result.estimate], [line.y], "D" if line.primary else "o", color=colour, markersize=7)
    weight = "bold" if line.primary else "normal"
    axes.text(
        0.004 + 10 / layout.width,
        line.y,
        line.text,
        transform=side,
        fontsize=12,
        va="center",
        clip_on=False,
        color=colour if line.primary else MUTED,
        weight=weight,
    )
    if layout.name == "wide":
        low, high = decided if line.primary else result.interval
        axes.text(
            1 - 4 / layout.width,
            line.y,
            f"{scale.number(result.estimate)}  ({scale.number(low)} to {scale.number(high)})",
            transform=side,
            fontsize=12,
            ha="right",
            va="center",
            clip_on=False,
            color=colour,
            weight=weight,
        )


def _description(report: Report, scale: Scale) -> str:
    """The plot in words: the primary, and how many others."""
    verdict = report.verdict
    for one in report.contrasts:
        result = one.results.get(verdict.evaluation)
        if one.contrast.name == verdict.contrast and result is not None:
            low, high = (scale.number(end) for end in result.decision_interval)
            estimate = f"{scale.number(result.estimate)} {scale.many}"
            what = f"{one.contrast.formula} under {verdict.evaluation}"
            return f"Primary: {what}, {estimate}, interval {low} to {high}. {TABLE}"
    return TABLE
