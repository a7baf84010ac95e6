"""Which of several trials does best on dev. Pure.

A trial's score is its mean over seeds and the dev prompts that are validly judged for every trial in every seed; the
highest is chosen, of equal ones the first. Out are those that diverged, those of which the judge could read less than
half of what it could read of another, and, with patience, a training's later checkpoints once so many in a row brought
no better one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from services.analyst.intervals import Floats, crossed
from services.analyst.scores import ArmScores, align
from shared.errors import PermanentError

LEAST_VALID = 0.5
"""Of the valid prompts of the trial that has most."""
UNREADABLE = "too few valid judgements"
STOPPED = "after early stopping"


@dataclass(frozen=True)
class Scored:
    """A trial's mean dev score and its 95% interval, in the evaluation's unit; `out` says why it cannot be chosen."""

    estimate: float | None = None
    interval: tuple[float, float] | None = None
    out: str | None = None


@dataclass(frozen=True)
class Choice:
    """The trial that was chosen, and what each scored on how many dev prompts."""

    chosen: int
    trials: tuple[Scored, ...]
    prompts: int


def choice(
    scores: Sequence[ArmScores],
    trainings: Sequence[Hashable],
    patience: int | None = None,
    out: Sequence[str | None] = (),
) -> Choice:
    """Choose among trials in their order: their scores, which training each is a state of, and why some are out.

    Raises:
        PermanentError: no trial is left, or no dev prompt is validly judged for all of them.
    """
    found = [Scored(out=reason) for reason in out] or [Scored() for _ in scores]
    valid = [int(one.valid.sum()) for one in scores]
    most = max((count for count, one in zip(valid, found, strict=True) if one.out is None), default=0)
    for place, count in enumerate(valid):
        if found[place].out is None and (count == 0 or count < LEAST_VALID * most):
            found[place] = Scored(out=UNREADABLE)
    there = [place for place, one in enumerate(found) if one.out is None]
    if not there:
        said = ", ".join(dict.fromkeys(one.out or "" for one in found))
        raise PermanentError(f"sweep: none of {len(found)} trials can be chosen: {said}; try other values")
    aligned = align([scores[place] for place in there])
    prompts = len(aligned.prompt_ids)
    if not prompts:
        raise PermanentError("sweep: no dev prompt has a valid judgement for every trial; raise prompts.dev")
    for row, place in enumerate(there):
        found[place] = _scored(aligned.values[row])
    found = _stopped(found, trainings, patience)
    # The first of the highest.
    chosen = max((place for place in there if found[place].out is None), key=lambda place: found[place].estimate or 0.0)
    return Choice(chosen, tuple(found), prompts)


def _scored(values: Floats) -> Scored:
    if values.shape[-1] < 2:
        return Scored(float(values.mean()))
    error = crossed(values)
    low, high = error.bounds()
    return Scored(float(error.mean), (float(low), float(high)))


def _stopped(trials: Sequence[Scored], trainings: Sequence[Hashable], patience: int | None) -> list[Scored]:
    """The same, with what comes after early stopping out."""
    found = list(trials)
    if patience is None:
        return found
    for training in dict.fromkeys(trainings):
        best, waited = float("-inf"), 0
        for place, one in enumerate(trials):
            if trainings[place] != training or one.estimate is None:
                continue
            if waited >= patience:
                found[place] = replace(one, out=STOPPED)
            elif one.estimate > best:
                best, waited = one.estimate, 0
            else:
                waited += 1
    return found
