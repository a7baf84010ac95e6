"""Scores by category and by turn, where an evaluation has both (MT-Bench): every arm's, and the primary contrast's.

Few prompts are in a category (ten of MT-Bench's), and no interval here is corrected for being one of many: all of it is
exploratory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.analyst.contrasts import Contrast, ContrastResult, compare
from services.analyst.intervals import Floats, Method, crossed
from services.analyst.params import EvaluationParams
from services.analyst.scores import ArmScores, SeedScores, assemble

SCORES = ("score_1", "score_2")
"""The columns of TURNS (shared/records.py) that have the ratings of each turn."""


@dataclass(frozen=True)
class Rated:
    """One seed's ratings as columns, one entry a prompt: its category, its score, and each turn's (NaN where none)."""

    prompt_ids: NDArray[np.str_]
    category: NDArray[np.str_]
    score: Floats
    turns: tuple[Floats, ...]


@dataclass(frozen=True)
class PartEstimate:
    """An arm's mean over the valid prompts of a part, with its 95% interval."""

    estimate: float
    standard_error: float
    interval: tuple[float, float]
    prompts: int


@dataclass(frozen=True)
class Part:
    """A category, or a turn: every arm's mean (None with fewer than two prompts) and the primary contrast."""

    name: str
    arms: Mapping[str, PartEstimate | None]
    difference: ContrastResult | None


@dataclass(frozen=True)
class Parts:
    """An evaluation's parts; `contrast` is the primary one, which `difference` is of."""

    evaluation: str
    unit: str
    contrast: Contrast
    categories: tuple[Part, ...]
    turns: tuple[Part, ...]


Tables = Mapping[tuple[str, str], Mapping[int, Rated]]
"""By arm and evaluation, then seed."""


def rated(table: pa.Table) -> Rated | None:
    """The columns of one seed's judgements; None where they are not of conversations by category."""
    if not {"category", *SCORES} <= set(table.column_names):
        return None
    ids, category = (np.asarray(table[name].to_pylist(), dtype=np.str_) for name in ("prompt_id", "category"))
    valid = np.asarray(table["valid"].to_pylist(), dtype=np.bool_)
    score, *turns = (_floats(table, name) for name in ("score", *SCORES))
    return Rated(ids, category, np.where(valid, score, np.nan), tuple(turns))


def _floats(table: pa.Table, name: str) -> Floats:
    column = table[name].combine_chunks().cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def parts(
    evaluations: Mapping[str, EvaluationParams],
    contrast: Contrast,
    seeds: set[int],
    tables: Tables,
    method: Method = crossed,
) -> tuple[Parts, ...]:
    """The parts of every evaluation that has some, over the arms whose `seeds` are all there."""
    found = []
    for name, evaluation in evaluations.items():
        arms = {arm: of for (arm, other), of in tables.items() if other == name and set(of) == seeds}
        if not arms:
            continue
        kinds = sorted({str(one) for of in arms.values() for table in of.values() for one in table.category})
        categories = {kind: {arm: _of_category(of, kind) for arm, of in arms.items()} for kind in kinds}
        turns = {str(turn + 1): {arm: _of_turn(of, turn) for arm, of in arms.items()} for turn in range(len(SCORES))}
        found.append(
            Parts(
                name,
                evaluation.unit,
                contrast,
                tuple(_part(one, of, name, evaluation, contrast, method) for one, of in categories.items()),
                tuple(_part(one, of, name, evaluation, contrast, method) for one, of in turns.items()),
            )
        )
    return tuple(found)


def _of_category(tables: Mapping[int, Rated], kind: str) -> dict[int, SeedScores]:
    return {seed: _scores(one, one.score, one.category == kind) for seed, one in tables.items()}


def _of_turn(tables: Mapping[int, Rated], turn: int) -> dict[int, SeedScores]:
    return {seed: _scores(one, one.turns[turn], np.ones(len(one.score), bool)) for seed, one in tables.items()}


def _scores(table: Rated, scores: Floats, where: NDArray[np.bool_]) -> SeedScores:
    return SeedScores(table.prompt_ids[where], scores[where], ~np.isnan(scores[where]))


def _part(
    name: str,
    tables: Mapping[str, Mapping[int, SeedScores]],
    evaluation: str,
    params: EvaluationParams,
    contrast: Contrast,
    method: Method,
) -> Part:
    scores = {arm: assemble(arm, evaluation, of) for arm, of in tables.items()}
    difference = None
    if set(contrast.arms) <= set(scores):
        given = {arm: scores[arm] for arm in contrast.arms}
        difference = compare(contrast, given, 0.05, method, params.in_points, unit=params.unit)
    return Part(name, {arm: _estimate(one, method) for arm, one in scores.items()}, difference)


def _estimate(scores: ArmScores, method: Method) -> PartEstimate | None:
    common = scores.common
    if common.shape[1] < 2:
        return None
    error = method(common)
    low, high = error.bounds()
    return PartEstimate(float(error.mean), float(error.standard_error), (float(low), float(high)), error.prompts)
