"""Who beats whom, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from services.analyst.arena.win_rates import WinRate, WinRates
from services.analyst.win_rates_figure import win_rates_figures
from services.analyst.wording import number


@dataclass(frozen=True)
class View:
    """One matrix: its figures, and a table with a row for each arm; a cell is (win rate, what stands below it)."""

    source: str
    arms: tuple[str, ...]
    figures: list[Markup]
    rows: list[tuple[str, list[tuple[str, str] | None]]]


def matrix_views(found: Sequence[WinRates], at: str = "") -> list[View]:
    """A view of each matrix; `at` makes ids unique within the page."""
    return [_view(one, f"{at}wins{place}") for place, one in enumerate(found, start=1)]


def _view(found: WinRates, name: str) -> View:
    judge = "" if found.judge is None else f"Judge: {found.judge}. "
    rows = [(arm, [_cell(found.cells.get((arm, other))) for other in found.arms]) for arm in found.arms]
    figures = [Markup(svg) for svg in win_rates_figures(found, name)]
    return View(f"{judge}From {' and '.join(found.evaluations)}.", found.arms, figures, rows)


def _cell(cell: WinRate | None) -> tuple[str, str] | None:
    if cell is None:
        return None
    low, high = cell.interval
    return number(cell.estimate), f"{number(low)} to {number(high)}; n {cell.n}"
