"""The map of a matrix's cells drawn: each with its level's colour, its difference and its level in words."""

from __future__ import annotations

from collections.abc import Iterator

from services.analyst.disagreement_page import HeatCell, HeatMap
from services.analyst.plain_svg import box, framed, words

CELL, ROW, HEAD, LETTER = 120.0, 44.0, 30.0, 6.6
TONES = {
    "rl_adds_value": ("good", 0.26),
    "sft_suffices": ("accent", 0.2),
    "inconclusive": ("warn", 0.16),
    "invalid": ("bad", 0.18),
}
NARROW = 348.0


def heat_figures(found: HeatMap) -> list[str]:
    """A table for wide screens, and a list of the cells for narrow ones."""
    told = "; ".join(
        f"{found.axis} = {level}{f', {name}' if name else ''}: {cell.difference or 'no number'}, {cell.word}"
        for name, row in found.down
        for level, cell in zip(found.across, row, strict=True)
        if cell is not None
    )
    title = "The cells' levels and primary differences in points"
    left = 16 + LETTER * max([len(name) for name, _ in found.down] + [len(found.rest)])
    width = left + CELL * len(found.across)
    wide = framed(width, HEAD + ROW * len(found.down), "heat-wide", title, told, _table(found, left))
    cells = sum(cell is not None for _, row in found.down for cell in row)
    narrow = framed(NARROW, (ROW + 18) * cells, "heat-narrow", title, told, _list(found))
    return [wide, narrow]


def _table(found: HeatMap, left: float) -> Iterator[str]:
    yield words(0, 19, found.rest, "muted", anchor="start")
    for column, level in enumerate(found.across):
        yield words(left + CELL * (column + 0.5), 19, f"{found.axis} = {level}", "muted", 11)
    for place, (name, row) in enumerate(found.down):
        y = HEAD + ROW * place
        yield words(0, y + 26, name or "all", anchor="start")
        for column, cell in enumerate(row):
            if cell is not None:
                yield from _cell(cell, left + CELL * column, y, CELL)


def _list(found: HeatMap) -> Iterator[str]:
    y = 0.0
    for name, row in found.down:
        for level, cell in zip(found.across, row, strict=True):
            if cell is not None:
                yield words(0, y + 13, f"{found.axis} = {level}{f', {name}' if name else ''}", "muted", 11, "start")
                yield from _cell(cell, 0, y + 18, NARROW)
                y += ROW + 18


def _cell(cell: HeatCell, x: float, y: float, width: float) -> Iterator[str]:
    tone, opacity = TONES.get(cell.level, ("band", 1.0))
    yield box(x + 1, y + 1, width - 2, ROW - 2, tone, opacity)
    yield words(x + width / 2, y + 19, cell.difference, size=13, bold=True)
    yield words(x + width / 2, y + 34, cell.word, size=11)
