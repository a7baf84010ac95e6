"""What was said of one completion, in a word or two: against the reference, or its score alone."""

from __future__ import annotations

from dataclasses import dataclass

from services.analyst.model import Judged
from services.analyst.params import EvaluationParams
from shared.scales import OF_TEN, POINTS


@dataclass(frozen=True)
class Chip:
    """A verdict or score; `tone` is won, lost, even or none."""

    text: str
    tone: str
    detail: str = ""


def chip(judged: Judged, evaluation: EvaluationParams | None = None) -> Chip:
    """The verdict on one completion against the reference, or against the other arm's where there is none.

    Of an `evaluation` that compares nothing, its score."""
    if judged.score is None:
        return Chip("not judged", "none", _orders(judged))
    if evaluation is not None and evaluation.alone:
        return _scored(judged.score, evaluation)
    if judged.score == 50:
        split = {judged.verdict_ab, judged.verdict_ba} == {"a", "b"}
        return Chip("split: the order decided" if split else "tie", "even", _orders(judged))
    won = judged.score > 50
    other = "the other" if judged.reference is None else "the reference"
    return Chip(f"{'better' if won else 'worse'} than {other}", "won" if won else "lost", _orders(judged))


def _scored(score: float, evaluation: EvaluationParams) -> Chip:
    """A score that no reference has part in."""
    number = evaluation.scale.number(score)
    if evaluation.unit == POINTS:
        whole = {100.0: ("right", "won"), 0.0: ("wrong", "lost")}
        return Chip(*whole.get(score, (f"{number}% right", "even")))
    return Chip(f"{number} of 10" if evaluation.unit == OF_TEN else f"{evaluation.unit} {number}", "none")


def _orders(judged: Judged) -> str:
    words = {"a": "better", "b": "worse", "tie": "tie", "unparsable": "no verdict"}
    first, second = (words.get(verdict or "") for verdict in (judged.verdict_ab, judged.verdict_ba))
    if first is None and second is None:
        return ""
    if second is None or first is None:
        return "one order asked"
    return f"shown first: {first}; shown second: {second}"
