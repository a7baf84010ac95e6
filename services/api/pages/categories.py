"""Scores by category and by turn, from a report's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import number
from shared.scales import scale_of

Data = Mapping[str, Any]


@dataclass(frozen=True)
class CategoryRow:
    """A category or a turn: (mean, interval) for each arm, and of the contrast that decides."""

    name: str
    cells: tuple[tuple[str, str], ...]
    difference: tuple[str, str]


@dataclass(frozen=True)
class CategoryTable:
    """One evaluation's."""

    evaluation: str
    unit: str
    contrast: str
    arms: tuple[str, ...]
    rows: tuple[CategoryRow, ...]


def category_tables(report: Data) -> Iterator[CategoryTable]:
    """A table for each evaluation that has categories: these first, then the turns."""
    for evaluation, found in (report.get("categories") or {}).items():
        named = {**found["categories"], **{f"turn {turn}": one for turn, one in found["turns"].items()}}
        arms = tuple(dict.fromkeys(arm for one in named.values() for arm in one["arms"]))
        digits = scale_of(found["unit"]).digits
        rows = tuple(
            CategoryRow(name, tuple(_cell(one["arms"][arm], digits) for arm in arms), _cell(one["difference"], digits))
            for name, one in named.items()
        )
        yield CategoryTable(evaluation, scale_of(found["unit"]).many, found["contrast"], arms, rows)


def _cell(found: Data | None, digits: int) -> tuple[str, str]:
    if found is None:
        return "–", ""
    low, high = (number(end, digits) for end in found["interval"])
    return number(found["estimate"], digits), f"{low} to {high}; n {found.get('n', found.get('n_prompts'))}"
