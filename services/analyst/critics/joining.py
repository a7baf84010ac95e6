"""A report with its critics' cards: the cards, what they warn of, and the stages that no arm needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from services.analyst.build import cost_of
from services.analyst.critics.card import CriticCard, Labeller, cards
from services.analyst.critics.concerns import concerns_of
from services.analyst.model import Cost, MatrixReport, Note, Report, StageFacts

Whole = TypeVar("Whole", Report, MatrixReport)


def with_critics(report: Whole, labellers: Mapping[str, Labeller], facts: Mapping[str, StageFacts]) -> Whole:
    """The same report with the cards of these labellers; `facts` are all committed stages'."""
    found: tuple[CriticCard, ...] = cards(labellers)
    shown = {stage.key for stage, _ in report.stages}
    extra: dict[str, None] = {
        key: None
        for one in labellers.values()
        for keys in one.stages.values()
        for key in keys
        if key in facts and key not in shown
    }
    return replace(
        report,
        critics=found,
        notes=(
            *report.notes,
            *(Note("limit", f"{one.name}: {text}", ("models", one.name)) for one in found for text in concerns_of(one)),
        ),
        total=_sum(report.total, cost_of(extra, facts)),
        stages=(*report.stages, *((facts[key], ()) for key in extra)),
    )


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(
        usd=one.usd + other.usd,
        device_hours=one.device_hours + other.device_hours,
        stages=one.stages + other.stages,
        missing=one.missing + other.missing,
        declared=one.declared + other.declared,
    )
