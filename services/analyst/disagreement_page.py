"""Where a matrix's cells disagree, as the page shows it: a map of levels, and what each factor adds."""

from __future__ import annotations

from dataclasses import dataclass

from services.analyst.disagreement import Disagreement, Factor, levels_of
from services.analyst.model import MatrixReport
from services.analyst.page import LEVELS
from services.analyst.wording import number


@dataclass(frozen=True)
class HeatCell:
    """One cell: its level, in a word, and its difference in points."""

    level: str
    word: str
    difference: str


@dataclass(frozen=True)
class HeatMap:
    """The cells by the levels of two axes: `across` is the longest axis, `down` has what is left of the names."""

    axis: str
    rest: str
    across: list[str]
    down: list[tuple[str, list[HeatCell | None]]]


@dataclass(frozen=True)
class EffectRow:
    """One level of one factor as text."""

    first: bool
    span: int
    factor: str
    level: str
    effect: str
    interval: str
    note: str = ""


@dataclass(frozen=True)
class View:
    """What the template needs besides the map."""

    summary: str
    rows: list[EffectRow]


def heat_map(report: MatrixReport) -> HeatMap:
    """The levels of all cells."""
    cells = {name: levels_of(name) for name in report.cells}
    values = {axis: list(dict.fromkeys(cell[axis] for cell in cells.values())) for axis in next(iter(cells.values()))}
    axis = max(values, key=lambda one: len(values[one]))
    grid: dict[str, dict[str, HeatCell]] = {}
    for name, cell in cells.items():
        rest = ", ".join(f"{key} = {value}" for key, value in cell.items() if key != axis)
        grid.setdefault(rest, {})[cell[axis]] = _cell(report, name)
    others = ", ".join(name for name in values if name != axis)
    return HeatMap(
        axis, others, values[axis], [(rest, [row.get(level) for level in values[axis]]) for rest, row in grid.items()]
    )


def _cell(report: MatrixReport, name: str) -> HeatCell:
    cell = report.cells[name]
    result = cell.primary_result
    return HeatCell(cell.verdict.level, LEVELS[cell.verdict.level], "" if result is None else number(result.estimate))


def disagreement_view(found: Disagreement | None) -> View | None:
    """None where there is no model."""
    if found is None:
        return None
    low, high = (number(end) for end in found.interval)
    summary = (
        f"Over all cells the difference is {number(found.mean)} points on average ({low} to {high}), on the "
        f"{found.prompts:,} prompts that every cell judged. What the factors one by one leave of the cells’ "
        f"differences has an SD of {number(found.left)} points."
    )
    return View(summary, [row for factor in found.factors for row in _rows(factor)])


def _rows(factor: Factor) -> list[EffectRow]:
    if factor.confounded:
        others = " and ".join(factor.confounded)
        note = f"cannot be told from {others}: they change together in these cells"
        return [EffectRow(True, 1, factor.name, "", "", "", note)]
    name = factor.name if factor.sd is None else f"{factor.name} (SD between levels {number(factor.sd)})"
    return [
        EffectRow(
            place == 0,
            len(factor.levels),
            name,
            one.level,
            f"{number(one.estimate)} ± {number(one.standard_error)}",
            f"{number(one.interval[0])} to {number(one.interval[1])}",
        )
        for place, one in enumerate(factor.levels)
    ]
