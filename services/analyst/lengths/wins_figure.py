"""Scores against length differences: a small panel an arm, with the joint fit's curve where there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.forest import NARROW, WIDE, Layout
from services.analyst.intervals import Floats
from services.analyst.length_control.curve import curve
from services.analyst.lengths.found import Lengths
from services.analyst.lengths.measure import Bin
from services.analyst.lengths.strokes import Strokes
from services.analyst.svg import ACCENT, INK, MUTED, RULE, draw
from services.analyst.wording import number

COLUMNS = {"wide": 3, "narrow": 2}
PANEL, HEAD, FOOT, TOP, BOTTOM = 118.0, 22.0, 22.0, 4.0, 18.0
LEFT, RIGHT = 34.0, 12.0
CURVE = 60
Z = 1.96
SCORES = (0, 50, 100)
AXIS = "characters longer than the reference’s completion"


@dataclass(frozen=True)
class Frame:
    """One panel's place in pixels from the top left, and the limits of its axis of differences."""

    x: float
    y: float
    width: float
    low: float
    high: float

    def across(self, difference: Floats | float) -> Floats:
        """Pixels from the left."""
        share = (np.asarray(difference, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.asarray(self.x + share * self.width)

    def down(self, score: Floats | float) -> Floats:
        """Pixels from the top; scores are 0 to 100."""
        return np.asarray(self.y + PANEL * (1 - np.asarray(score, dtype=np.float64) / 100))


@dataclass(frozen=True)
class Lines:
    """What all panels have, to be drawn together."""

    ends: Strokes = field(default_factory=Strokes)
    even: Strokes = field(default_factory=Strokes)
    zero: Strokes = field(default_factory=Strokes)
    curves: Strokes = field(default_factory=Strokes)
    intervals: Strokes = field(default_factory=Strokes)
    means: Strokes = field(default_factory=Strokes)

    def draw(self, axes: Axes) -> None:
        self.ends.draw(axes, color=RULE, linewidth=0.5)
        self.even.draw(axes, color=RULE, linewidth=1.2)
        self.zero.draw(axes, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        self.curves.draw(axes, color=ACCENT, linewidth=1.6)
        self.intervals.draw(axes, color=INK, linewidth=1.4)
        self.means.draw(axes, color=INK, linestyle="none", marker="o", markersize=5)


def wins_figures(found: Lengths, at: str = "") -> list[str]:
    """The figure for wide and for narrow screens; none where nothing can be drawn."""
    if not found.bins:
        return []
    return [_figure(found, layout, f"{at}length-wins-{layout.name}") for layout in (WIDE, NARROW)]


def _figure(found: Lengths, layout: Layout, name: str) -> str:
    columns = min(COLUMNS[layout.name], len(found.bins))
    rows = math.ceil(len(found.bins) / columns)
    height = TOP + rows * (HEAD + PANEL + FOOT) + BOTTOM
    low, high = _limits(found)
    width = layout.width / columns

    def paint(figure: Figure) -> None:
        # One pair of axes in pixels for all panels: a pair each takes seconds.
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, layout.width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        lines = Lines()
        for place, (arm, bins) in enumerate(found.bins.items()):
            row, column = divmod(place, columns)
            y = TOP + row * (HEAD + PANEL + FOOT) + HEAD
            frame = Frame(column * width + LEFT, y, width - LEFT - RIGHT, low, high)
            _labels(axes, frame, arm, scores=column == 0)
            _panel(lines, frame, arm, bins, found)
        lines.draw(axes)
        axes.text(layout.width / 2, height - 5, AXIS, fontsize=11, color=MUTED, ha="center")

    title = "Scores against length differences"
    return draw(layout.width, height, paint, name, title, _text(found))


def _limits(found: Lengths) -> tuple[float, float]:
    """Of the differences: all parts of all arms, and none at all."""
    ends = [one.difference for bins in found.bins.values() for one in bins] + [0.0]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    return min(ends) - margin, max(ends) + margin


def _labels(axes: Axes, frame: Frame, arm: str, scores: bool) -> None:
    axes.text(frame.x, frame.y - 7, arm, fontsize=12, weight="bold")
    for score in SCORES if scores else ():
        y = float(frame.down(score))
        axes.text(frame.x - 5, y, str(score), fontsize=10, color=MUTED, ha="right", va="center")
    for tick in _ticks(frame.low, frame.high):
        x = float(frame.across(tick))
        axes.text(x, frame.y + PANEL + 13, number(tick, 0), fontsize=10, color=MUTED, ha="center")


def _panel(lines: Lines, frame: Frame, arm: str, bins: tuple[Bin, ...], found: Lengths) -> None:
    for score in SCORES:
        y = float(frame.down(score))
        (lines.even if score == 50 else lines.ends).add((frame.x, frame.x + frame.width), (y, y))
    zero = float(frame.across(0.0))
    lines.zero.add((zero, zero), (frame.y, frame.y + PANEL))
    fit = found.drawn_fit
    if fit is not None and arm in fit.table.arms:
        differences = np.linspace(bins[0].difference, bins[-1].difference, CURVE)
        if (wins := curve(fit, arm, differences)) is not None:
            lines.curves.add(frame.across(differences), frame.down(wins))
    for one in bins:
        x = float(frame.across(one.difference))
        ends = np.clip([one.score - Z * one.standard_error, one.score + Z * one.standard_error], 0, 100)
        lines.intervals.add((x, x), frame.down(ends))
        lines.means.add((x,), (float(frame.down(one.score)),))


def _ticks(low: float, high: float) -> list[float]:
    """Round differences within the limits: none, and one or two to either side."""
    step = 10.0 ** math.floor(math.log10(max(high, -low)))
    step = next(size for size in (step / 2, step, 2 * step, 5 * step) if (high - low) / size <= 5)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _text(found: Lengths) -> str:
    ends = [
        f"{arm} {number(bins[0].score)} where shortest, {number(bins[-1].score)} where longest"
        for arm, bins in found.bins.items()
    ]
    return f"Mean score under {found.shown} of prompts by how much longer the completion is: {'; '.join(ends)}."
