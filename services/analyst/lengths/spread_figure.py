"""Lengths drawn: how many characters each arm's completions have, and the reference's."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.forest import NARROW, WIDE, Layout
from services.analyst.lengths.found import Lengths
from services.analyst.lengths.measure import Distribution
from services.analyst.svg import ACCENT, INK, MUTED, RULE, draw
from services.analyst.wording import number

ROW = 34.0
TOP, BOTTOM = 8.0, 46.0
LETTER = 7.0
"""Pixels of a letter of a name, about."""
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
    right = 96.0 if layout is WIDE else 46.0

    def paint(figure: Figure) -> None:
        width = (layout.width - left - right) / layout.width
        axes = figure.add_axes((left / layout.width, BOTTOM / height, width, ROW * len(rows) / height))
        _frame(axes, rows)
        for place, (arm, one) in enumerate(rows):
            _box(axes, arm, one, place, layout)

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
    axes.set_yticks(range(len(rows)), [arm for arm, _ in rows], fontsize=12, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=3, labelsize=11)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("characters", fontsize=11, color=MUTED)


def _box(axes: Axes, arm: str, one: Distribution, place: int, layout: Layout) -> None:
    """A box of quartiles with the median, whiskers at the 5th and 95th percentile, and a strip of completions below."""
    colour = MUTED if arm == REFERENCE else INK
    low, lower, middle, upper, high = one.quantiles
    y, half = place - 0.1, 0.17
    axes.plot([low, high], [y, y], color=colour, linewidth=1, solid_capstyle="butt")
    axes.fill_between([lower, upper], y - half, y + half, color=colour, alpha=0.22, linewidth=0)
    axes.plot([middle, middle], [y - half, y + half], color=ACCENT, linewidth=3, solid_capstyle="butt")
    # One path: a mark for each would make the page heavy.
    xs = [end for tick in one.ticks for end in (tick, tick, float("nan"))]
    ys = [place + 0.2, place + 0.34, float("nan")] * len(one.ticks)
    axes.plot(xs, ys, color=colour, linewidth=0.7, alpha=0.55, solid_capstyle="butt")
    words = number(middle, 0) if layout.name == "narrow" else f"{number(middle, 0)}  ({number(one.mean, 0)} mean)"
    axes.annotate(
        words,
        (1, y),
        (6, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=11,
        color=colour,
        va="center",
        annotation_clip=False,
    )
