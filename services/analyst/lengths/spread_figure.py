"""Lengths drawn: how many characters each arm's completions have, and the reference's."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from services.analyst.forest import NARROW, WIDE, Layout
from services.analyst.lengths.found import Lengths
from services.analyst.lengths.measure import Distribution
from services.analyst.lengths.strokes import Strokes
from services.analyst.svg import ACCENT, BAND, INK, MUTED, RULE, draw
from services.analyst.wording import number

ROW = 34.0
TOP, BOTTOM = 8.0, 46.0
LETTER = 7.0
"""Pixels of a letter of a name, about."""
MIDDLE, HALF = -0.1, 0.17
"""Where in its row a box lies, and half its height."""
STRIP = (0.2, 0.34)
REFERENCE = "reference"

Row = tuple[str, Distribution]


def spread_figures(found: Lengths, at: str = "") -> list[str]:
    """The figure for wide and for narrow screens; `at` makes ids unique within the page."""
    rows = [] if found.reference is None else [(REFERENCE, found.reference)]
    rows += [(arm, one.characters) for arm, one in found.arms[found.shown].items()]
    return [_figure(rows, layout, found.shown, f"{at}lengths-{layout.name}") for layout in (WIDE, NARROW)]


def _figure(rows: Sequence[Row], layout: Layout, evaluation: str, name: str) -> str:
    height = TOP + ROW * len(rows) + BOTTOM
    left = min(16 + LETTER * max(len(arm) for arm, _ in rows), 0.4 * layout.width)
    right = 110.0 if layout is WIDE else 46.0

    def paint(figure: Figure) -> None:
        width = (layout.width - left - right) / layout.width
        axes = figure.add_axes((left / layout.width, BOTTOM / height, width, ROW * len(rows) / height))
        _frame(axes, rows)
        _boxes(axes, [one for _, one in rows])
        for place, (_, one) in enumerate(rows):
            _numbers(axes, one, place, layout)

    medians = "; ".join(f"{arm} {number(one.median, 0)}" for arm, one in rows)
    text = f"Characters of completions under {evaluation}. Medians: {medians}."
    return draw(layout.width, height, paint, name, "Lengths of completions", text)


def _frame(axes: Axes, rows: Sequence[Row]) -> None:
    """Limits that hold every whisker: the longest twentieth may lie beyond."""
    most = max(one.quantiles[-1] for _, one in rows) or 1.0
    axes.set_xlim(0, 1.12 * most)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.set_yticks(range(len(rows)), [arm for arm, _ in rows], fontsize=12)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.tick_params(axis="x", length=3, labelsize=11)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("characters", fontsize=11, color=MUTED)


def _boxes(axes: Axes, rows: Sequence[Distribution]) -> None:
    """Boxes of quartiles with the median, whiskers at the 5th and 95th percentile, and a strip of completions below."""
    whiskers, medians, strips, boxes = Strokes(), Strokes(), Strokes(), []
    for place, one in enumerate(rows):
        low, lower, middle, upper, high = one.quantiles
        y = place + MIDDLE
        whiskers.add((low, high), (y, y))
        boxes.append([(lower, y - HALF), (upper, y - HALF), (upper, y + HALF), (lower, y + HALF)])
        medians.add((middle, middle), (y - HALF, y + HALF))
        for tick in one.ticks:
            strips.add((tick, tick), (place + STRIP[0], place + STRIP[1]))
    whiskers.draw(axes, color=INK, linewidth=1)
    axes.add_collection(PolyCollection(boxes, facecolor=BAND, edgecolor=INK, linewidth=1, zorder=2), autolim=False)
    medians.draw(axes, color=ACCENT, linewidth=3, zorder=3)
    strips.draw(axes, color=INK, linewidth=0.7, alpha=0.5)


def _numbers(axes: Axes, one: Distribution, place: int, layout: Layout) -> None:
    mean = f", mean {number(one.mean, 0)}" if layout.name == "wide" else ""
    axes.annotate(
        f"{number(one.median, 0)}{mean}",
        (1, place + MIDDLE),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=11,
        color=MUTED,
        va="center",
        annotation_clip=False,
    )
