"""How far can the judge be trusted: the primary contrast under each judge and order, and corrected with gold labels.

One table. Only its first row makes the verdict; the level of every other is what its own interval alone would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from services.analyst.contrasts import Contrast, ContrastResult, weigh
from services.analyst.gold import Correction, GoldScores, correct, differences
from services.analyst.intervals import Floats, Interval, crossed
from services.analyst.params import EvaluationParams
from services.analyst.people import People, Voted, people
from services.analyst.scores import Aligned, ArmScores, align
from services.analyst.verdict import claim

Sort = Literal["judge", "order", "second_judge", "gold", "people", "head_to_head", "people_head_to_head"]


@dataclass(frozen=True)
class Row:
    """The primary contrast as one source has it, in points. `name` is whose: a judge's, an order's, gold labels'.

    `level` is what its deciding interval alone would give; None where there is no delta yet, and of head to head, whose
    points are others. `gold` prompts have gold labels; `weight` and `bias` are the judge's (see `Correction`).
    """

    sort: Sort
    name: str
    estimate: float | None = None
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    decision_interval: tuple[float, float] | None = None
    p_value: float | None = None
    prompts: int = 0
    seeds: int = 0
    level: str | None = None
    gold: int | None = None
    weight: float | None = None
    bias: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Trust:
    """The table, and what people's votes say. `one_order` and `one_judge` say what was not asked; `direct`, that the
    judge compares the two arms with each other."""

    rows: tuple[Row, ...]
    people: People | None
    arms: tuple[str, str]
    one_order: bool
    one_judge: bool
    direct: bool = False

    @property
    def shown(self) -> str:
        """Whose completions have a place in each order."""
        return self.arms[0] if self.direct else "the arms"

    @property
    def corrections(self) -> tuple[Row, ...]:
        """The rows with gold labels in the primary's own points."""
        return tuple(row for row in self.rows if row.sort in {"gold", "people"} and row.estimate is not None)


def trust(
    primary: ContrastResult,
    evaluation: EvaluationParams,
    scores: Mapping[str, ArmScores],
    orders: Mapping[str, ContrastResult],
    others: Sequence[tuple[str, ContrastResult]],
    gold: GoldScores | None,
    voted: Voted,
    delta: float | None,
    alpha: float,
) -> Trust | None:
    """`scores` are of the primary's arms; `others` the same contrast by other judges, each with its name.

    None of a contrast that is in no points, or that no judge and no people have judged.
    """
    contrast = primary.contrast
    if contrast.pair is None or not evaluation.in_points or (evaluation.judge is None and gold is None):
        return None
    aligned = align([scores[arm] for arm in contrast.arms])
    cast = _as_primary(contrast, voted) if evaluation.head_to_head else voted
    rows = [
        _seen("judge", evaluation.judge or primary.evaluation, primary, delta),
        *(_seen("order", order, found, delta) for order, found in orders.items()),
        *(_seen("second_judge", name, found, delta) for name, found in others),
        *_corrected(contrast, aligned, gold, cast, delta, alpha),
    ]
    return Trust(tuple(rows), people(voted), contrast.pair, not orders, not others, evaluation.head_to_head)


def _as_primary(contrast: Contrast, voted: Voted) -> Voted:
    """Where the judge too compares the arms with each other, votes on the two are in the primary's own points."""
    a, b = contrast.arms
    ahead = {seed: {id: (lead + 100) / 2 for id, lead in one.items()} for seed, one in voted.leads.items()}
    behind = {seed: {id: 100 - score for id, score in one.items()} for seed, one in ahead.items()}
    return replace(voted, scores={a: ahead, b: behind}, leads={})


def _seen(sort: Sort, name: str, found: ContrastResult, delta: float | None) -> Row:
    return Row(
        sort,
        name,
        found.estimate,
        found.standard_error,
        found.interval,
        found.decision_interval,
        found.p_value,
        found.prompts,
        found.seeds,
        _level(found.decision_interval, delta),
    )


def _corrected(
    contrast: Contrast, aligned: Aligned, gold: GoldScores | None, voted: Voted, delta: float | None, alpha: float
) -> Iterator[Row]:
    judged = weigh(aligned.values, contrast.weights)
    if gold is not None:
        found = correct(judged, aligned, differences(contrast, gold.scores), gold.n)
        yield _row("gold", gold.name, found, delta, alpha)
    if by_people := differences(contrast, voted.scores):
        yield _row("people", "people’s votes", correct(judged, aligned, by_people), delta, alpha)
    if voted.leads:
        ahead = 100 * np.sign(judged)
        found = correct(ahead, aligned, voted.leads)
        if found.error is not None:
            places = [aligned.seeds.index(seed) for seed in found.seeds]
            yield _raw(ahead[places], found, alpha)
        yield _row("people_head_to_head", "people’s votes", found, None, alpha)


def _raw(ahead: Floats, found: Correction, alpha: float) -> Row:
    """Head to head by the judge's scores, on the same seeds as people's votes are of."""
    error = crossed(ahead)
    return _row("head_to_head", "the judge’s scores", Correction(error, "", found.prompts, 0, found.seeds), None, alpha)


def _row(sort: Sort, name: str, found: Correction, delta: float | None, alpha: float) -> Row:
    if found.error is None:
        return Row(sort, name, why=found.why)
    error = found.error
    decides = _ends(error, alpha)
    golden = sort != "head_to_head"
    return Row(
        sort,
        name,
        float(error.mean),
        float(error.standard_error),
        _ends(error, 0.05),
        decides,
        float(error.p_value()),
        found.prompts,
        len(found.seeds),
        _level(decides, delta),
        found.labelled if golden else None,
        found.weight if golden else None,
        found.bias if golden else None,
    )


def _ends(error: Interval, alpha: float) -> tuple[float, float]:
    low, high = error.bounds(alpha)
    return float(low), float(high)


def _level(interval: tuple[float, float], delta: float | None) -> str | None:
    return None if delta is None else claim(*interval, delta)
