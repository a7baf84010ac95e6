"""Who beats whom, drawn: a heat map of win rates, the arms in both directions."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from services.analyst.arena.win_rates import WinRate, WinRates
from services.analyst.forest import NARROW, WIDE, Layout
from services.analyst.svg import ACCENT, INK, MUTED, PAPER, SERIES, draw
from services.analyst.wording import number

WON, LOST = ACCENT, SERIES[2]
LETTER = 6.6
"""Pixels of a letter, at most, at this figure's size."""
LONGEST = 150.0
"""Pixels that a name may take beside the map; more is cut."""
CELL = 120.0
"""Pixels of a cell's width, at most."""
ROW = 40.0
ONE_DECIMAL, WHOLE = 44.0, 24.0
"""Pixels of a cell from which on its number has a decimal, or stands there at all."""
STRONGEST = 0.6
"""How opaque the strongest colour is drawn: text on it can still be read."""
FULL = 25.0
"""Points from even, from which on the colour is at its strongest."""


@dataclass(frozen=True)
class Grid:
    """Pixels: what names take on the left and on top, and a cell's size."""

    left: float
    top: float
    width: float
    height: float
    upright: bool

    @classmethod
    def of(cls, arms: tuple[str, ...], layout: Layout) -> Grid:
        longest = min(LONGEST, 12 + LETTER * max(len(arm) for arm in arms))
        left = min(longest, 0.36 * layout.width)
        width = min(CELL, (layout.width - left - 4) / len(arms))
        upright = longest > width
        return cls(left, longest if upright else 24.0, width, min(ROW, max(width, 22.0)), upright)


def win_rates_figures(found: WinRates, name: str) -> list[str]:
    """The heat map for wide and for narrow screens; `name` is unique within the page."""
    return [_figure(found, layout, f"{name}-{layout.name}") for layout in (WIDE, NARROW)]


def _figure(found: WinRates, layout: Layout, name: str) -> str:
    grid = Grid.of(found.arms, layout)
    width, height = layout.width, grid.top + grid.height * len(found.arms) + 4

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.axis("off")
        for place, arm in enumerate(found.arms):
            _names(axes, grid, place, arm)
            for column, other in enumerate(found.arms):
                if (arm, other) in found.cells:
                    _cell(axes, grid, place, column, found.cells[arm, other])

    return draw(width, height, paint, name, "Who beats whom", _description(found))


def _names(axes: Axes, grid: Grid, place: int, arm: str) -> None:
    """An arm's name beside its row and above its column."""
    x, y = grid.left + (place + 0.5) * grid.width, grid.top + (place + 0.5) * grid.height
    axes.text(grid.left - 8, y, _cut(arm, grid.left), fontsize=11, ha="right", va="center", color=INK)
    above = _cut(arm, grid.top) if grid.upright else arm
    turn = 90 if grid.upright else 0
    axes.text(x, grid.top - 6, above, fontsize=11, ha="center", va="bottom", color=MUTED, rotation=turn)


def _cell(axes: Axes, grid: Grid, row: int, column: int, cell: WinRate) -> None:
    corner = (grid.left + column * grid.width, grid.top + row * grid.height)
    colour, strength = WON if cell.estimate >= 50 else LOST, STRONGEST * min(1.0, abs(cell.estimate - 50) / FULL)
    axes.add_patch(Rectangle(corner, grid.width, grid.height, facecolor=colour, alpha=strength, linewidth=0))
    axes.add_patch(Rectangle(corner, grid.width, grid.height, fill=False, edgecolor=PAPER, linewidth=2))
    if grid.width >= WHOLE:
        text = number(cell.estimate, 1 if grid.width >= ONE_DECIMAL else 0)
        middle = (corner[0] + grid.width / 2, corner[1] + grid.height / 2)
        axes.text(*middle, text, fontsize=11, ha="center", va="center", color=INK)


def _cut(text: str, pixels: float) -> str:
    letters = max(2, round((pixels - 12) / LETTER))
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _description(found: WinRates) -> str:
    """The map in words: the arms, the one that wins most often first, and the clearest pair."""
    (a, b), cell = max(found.cells.items(), key=lambda item: item[1].estimate)
    return (
        f"Win rates of rows against columns. By their average: {', '.join(found.arms)}. The clearest: {a} wins "
        f"{number(cell.estimate)}% against {b}. All numbers are in the table."
    )
