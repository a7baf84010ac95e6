"""What each judge says of the primary contrast, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.analyst.contrasts import ContrastResult
from services.analyst.params import ReportParams
from services.analyst.verdict import Level, claim


@dataclass(frozen=True)
class JudgeView:
    """One judge's primary contrast; `level` is what its deciding interval alone says, in points as `estimate` is.

    `family` is whom it is likely to share its mistakes with (`shared.families`). Where `evaluation` is one of another
    cell of a matrix, it says which.
    """

    judge: str
    family: str
    evaluation: str
    level: Level
    estimate: float
    decision_interval: tuple[float, float]
    decides: bool


def judge_views(
    params: ReportParams, seen: Sequence[tuple[str, ContrastResult]], delta: float
) -> tuple[JudgeView, ...]:
    """By judge and result, the deciding one first; none where the primary evaluation has no judge."""
    found = []
    for place, (judge, result) in enumerate(seen):
        level = claim(*result.decision_interval, delta)
        family = params.judge_families.get(judge, "")
        ends = result.decision_interval
        found.append(JudgeView(judge, family, result.evaluation, level, result.estimate, ends, place == 0))
    return tuple(found)
