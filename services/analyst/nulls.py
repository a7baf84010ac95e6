"""Null completions: how answers that say nothing score beside the arms (`shared.nulls` has their texts)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.analyst.params import ReportParams
from services.analyst.scores import ArmScores, align
from services.analyst.verdict import NullScore

Scores = Mapping[tuple[str, str], ArmScores]


@dataclass(frozen=True)
class NullResult:
    """A null completion under one evaluation: its mean score over `prompts` validly judged prompts, in the
    evaluation's unit, and the arms that score below it on the prompts that both have."""

    estimate: float
    prompts: int
    beats: tuple[str, ...]


def null_results(params: ReportParams, scores: Scores) -> dict[str, dict[str, NullResult]]:
    """By null completion and evaluation, as far as they are judged; a length-controlled one fits arms alone."""
    found: dict[str, dict[str, NullResult]] = {}
    for null in params.null_completions:
        for evaluation, how in params.evaluations.items():
            if how.length_controlled is not None:
                # Its figures are from a fit that null completions, all of one length, have no part in.
                continue
            if (null, evaluation) in scores and (values := scores[null, evaluation].common).size:
                beats = tuple(arm for arm in params.arms if (_above(null, arm, evaluation, scores) or 0) > 0)
                found.setdefault(null, {})[evaluation] = NullResult(float(values.mean()), values.shape[1], beats)
    return found


def null_scores(params: ReportParams, pair: tuple[str, str], scores: Scores) -> tuple[NullScore, ...]:
    """Null completions against both arms of the primary contrast, on the prompts that are valid for both."""
    found = []
    for null in params.null_completions:
        for arm in pair:
            difference = _above(null, arm, params.primary.evaluation, scores)
            if difference is not None:
                found.append(NullScore(null, arm, difference))
    return tuple(found)


def _above(null: str, arm: str, evaluation: str, scores: Scores) -> float | None:
    """By how much it scores more than an arm; None with fewer than two prompts that are valid for both."""
    if (null, evaluation) not in scores or (arm, evaluation) not in scores:
        return None
    aligned = align([scores[null, evaluation], scores[arm, evaluation]])
    if len(aligned.prompt_ids) < 2:
        return None
    own, other = aligned.values.mean(axis=(1, 2))
    return float(own - other)
