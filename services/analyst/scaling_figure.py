"""Data scaling drawn: a line for each recipe over the share of the train prompts, with intervals."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from services.analyst.curves import DASHES, Style
from services.analyst.forest import NARROW, WIDE
from services.analyst.scaling import Line, Scaling
from services.analyst.svg import MUTED, RULE, SERIES, draw

HEIGHT = 330.0
LEFT, BOTTOM, TOP, RIGHT = 56.0, 48.0, 14.0, 18.0
APART = 0.018
"""How far, as a share of its place, a line's points stand beside another's: intervals would hide each other."""


def styles(found: tuple[Scaling, ...]) -> dict[str, Style]:
    """A colour for each line, the same in every figure; SFT is dashed."""
    lines = {line.name: line.rl for one in found for line in one.lines}
    return {name: Style(n % len(SERIES), 0 if rl else 1) for n, (name, rl) in enumerate(lines.items())}


def scaling_figures(found: Scaling, chosen: dict[str, Style], at: str) -> list[str]:
    """The figure for wide and for narrow screens; `at` makes ids unique within the page."""
    return [_figure(found, chosen, layout.width, f"{at}scaling-{layout.name}") for layout in (WIDE, NARROW)]


def _figure(found: Scaling, chosen: dict[str, Style], width: float, name: str) -> str:
    shares = sorted({point.fraction for line in found.lines for point in line.points})

    def paint(figure: Figure) -> None:
        box = (LEFT / width, BOTTOM / HEIGHT, (width - LEFT - RIGHT) / width, (HEIGHT - BOTTOM - TOP) / HEIGHT)
        axes = figure.add_axes(box)
        _frame(axes, shares, found.evaluation)
        for place, line in enumerate(found.lines):
            _line(axes, line, chosen[line.name], 1 + APART * (place - (len(found.lines) - 1) / 2))

    title = "Score against the share of demonstrations" + (f", {found.rest}" if found.rest else "")
    return draw(width, HEIGHT, paint, name, title, told(found))


def told(found: Scaling) -> str:
    """The figure in words."""
    lines = "; ".join(
        f"{line.name}: {', '.join(f'{point.estimate:.4g} at {share(point.fraction)}' for point in line.points)}"
        for line in found.lines
    )
    return f"{found.evaluation}, in {found.unit}, by the share of the train prompts with demonstrations. {lines}."


def share(fraction: float) -> str:
    """`25%`."""
    return f"{100 * fraction:.3g}%"


def _frame(axes: Axes, shares: list[float], evaluation: str) -> None:
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.set_xscale("log")
    axes.set_xlim(shares[0] / 1.15, shares[-1] * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_major_formatter(FixedFormatter([share(one) for one in shares]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(length=3, labelsize=11)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("train prompts with demonstrations (log scale)", fontsize=11, color=MUTED)
    axes.set_ylabel(evaluation, fontsize=11, color=MUTED)


def _line(axes: Axes, line: Line, style: Style, beside: float) -> None:
    colour = SERIES[style.series]
    places = [point.fraction * beside for point in line.points]
    values = [point.estimate for point in line.points]
    axes.plot(places, values, color=colour, linewidth=1.8, linestyle=DASHES[style.dash])
    axes.plot(places, values, "o" if line.rl else "s", color=colour, markersize=6, linestyle="none")
    for place, point in zip(places, line.points, strict=True):
        axes.plot([place, place], point.interval, color=colour, linewidth=1.4, alpha=0.75, solid_capstyle="butt")
