"""Scores by category and by turn as tables: text in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.analyst.categories import Part, PartEstimate, Parts
from shared.scales import Scale, scale_of


@dataclass(frozen=True)
class PartRow:
    """A category, or a turn: (mean, interval) for each arm, and the difference's."""

    name: str
    cells: tuple[tuple[str, str], ...]
    difference: tuple[str, str]


@dataclass(frozen=True)
class PartsView:
    """One evaluation's tables."""

    evaluation: str
    unit: str
    arms: tuple[str, ...]
    formula: str
    categories: tuple[PartRow, ...]
    turns: tuple[PartRow, ...]


def parts_views(found: Sequence[Parts]) -> list[PartsView]:
    return [_view(one) for one in found]


def _view(one: Parts) -> PartsView:
    scale = scale_of(one.unit)
    arms = tuple(dict.fromkeys(arm for part in one.categories for arm in part.arms))

    def rows(parts: Sequence[Part], before: str) -> tuple[PartRow, ...]:
        return tuple(
            PartRow(
                f"{before}{part.name}", tuple(_cell(part.arms[arm], scale) for arm in arms), _difference(part, scale)
            )
            for part in parts
        )

    return PartsView(
        one.evaluation, scale.many, arms, one.contrast.formula, rows(one.categories, ""), rows(one.turns, "turn ")
    )


def _cell(found: PartEstimate | None, scale: Scale) -> tuple[str, str]:
    if found is None:
        return "–", ""
    low, high = (scale.number(end) for end in found.interval)
    return scale.number(found.estimate), f"{low} to {high}; n {found.prompts}"


def _difference(part: Part, scale: Scale) -> tuple[str, str]:
    if part.difference is None:
        return "–", ""
    low, high = (scale.number(end) for end in part.difference.interval)
    return scale.number(part.difference.estimate), f"{low} to {high}"
