"""The verdict: one level for the primary contrast, by the first rule that matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.analyst import wording
from services.analyst.contrasts import ContrastResult
from services.analyst.intervals import Crossed
from services.analyst.power import Needed, needed
from shared.power import RECIPE_SEEDS

Level = Literal["invalid", "rl_adds_value", "sft_suffices", "inconclusive", "pending"]
Scope = Literal["recipe", "checkpoints"]

MOST_DROPPED_APART = 2.0
"""Points by which the arms' shares of dropped prompts may differ."""


@dataclass(frozen=True)
class NullScore:
    """How completions that carry no answer (`name`) scored against one of the primary's arms: their mean minus its."""

    name: str
    arm: str
    difference: float


@dataclass(frozen=True)
class Checks:
    """What could make the primary contrast say nothing, whatever its numbers.

    `measures_imitation` is the reason why the primary's judge measures imitation (None where it does not);
    `tuning_trials` has the arms' numbers of settings tried, and may be empty.
    """

    eval_in_training: bool = False
    tuning_trials: Mapping[str, int] = field(default_factory=dict)
    measures_imitation: str | None = None
    null_scores: tuple[NullScore, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The answer, and why. `interval` is the one that decided; `needed` is set where it was too wide to decide."""

    level: Level
    scope: Scope
    contrast: str
    evaluation: str
    delta: float | None
    reasons: tuple[str, ...]
    sentence: str
    interval: tuple[float, float] | None = None
    needed: Needed | None = None


def scope_of(seeds: int) -> Scope:
    """A recipe is judged by three runs or more; fewer say something of these checkpoints only."""
    return "recipe" if seeds >= RECIPE_SEEDS else "checkpoints"


def decision_alpha(looks: int = 1, cells: int = 1) -> float:
    """The share of misses allowed to each of K = looks x cells decisions (Bonferroni)."""
    return 0.05 / (max(1, looks) * max(1, cells))


def claim(low: float, high: float, delta: float) -> Literal["rl_adds_value", "sft_suffices", "inconclusive"]:
    """The level that the decision interval alone gives."""
    if low > delta:
        return "rl_adds_value"
    return "sft_suffices" if high < delta else "inconclusive"


def decide(
    primary: ContrastResult,
    delta: float,
    checks: Checks,
    second: Sequence[ContrastResult] = (),
    alpha: float = 0.05,
) -> Verdict:
    """The first level that matches: invalid, inconclusive by another judge, then by the decision interval.

    `second` are the same contrast under the spec's other judges. `delta` is in the primary's unit and may be negative
    where arm A costs less than arm B.

    Raises:
        ValueError: the primary contrast is not a difference of two arms.
    """
    if primary.contrast.pair is None:
        raise ValueError(f"primary.contrast: {primary.contrast.name} is not a difference of two arms; choose one")
    low, high = primary.decision_interval
    level: Level
    needs: Needed | None = None
    if reasons := invalid_reasons(primary, checks):
        level, sentence = "invalid", wording.invalid(primary, reasons)
    elif opposed := [other for other in second if opposite(primary, other, delta)]:
        level, reasons = "inconclusive", [wording.opposed(primary, other) for other in opposed]
        sentence = wording.judges_disagree(primary, opposed)
    else:
        level = claim(low, high, delta)
        if level == "inconclusive" and isinstance(primary.error, Crossed):
            needs = needed(primary.error, delta, alpha)
        reasons = [wording.by_interval(primary, delta, level)]
        if level == "inconclusive":
            reasons.append(wording.what_would_decide(primary, delta, needs))
        sentence = wording.answer(primary, delta, level, reasons)
        if needs is not None and (needs.prompts or needs.both):
            reasons.append(wording.ANOTHER_LOOK)
    scope = scope_of(primary.seeds)
    return Verdict(
        level=level,
        scope=scope,
        contrast=primary.contrast.name,
        evaluation=primary.evaluation,
        delta=delta,
        reasons=tuple(reasons),
        sentence=wording.scoped(sentence, scope, primary.seeds),
        interval=primary.decision_interval,
        needed=needs,
    )


def invalid_reasons(primary: ContrastResult, checks: Checks) -> list[str]:
    """Everything that makes the primary contrast say nothing; empty where nothing does."""
    assert primary.contrast.pair is not None
    a, b = primary.contrast.pair
    # First what says most: a judge that rewards emptiness.
    reasons = [
        f"null completions ({null.name}) score {wording.points(null.difference, primary.unit)} above {null.arm}: "
        "the judge does not read the answers"
        for null in checks.null_scores
        if null.arm in (a, b) and null.difference > 0
    ]
    if checks.eval_in_training:
        reasons.append("evaluation prompts were used in training or in selecting settings")
    trials = {arm: checks.tuning_trials[arm] for arm in (a, b) if arm in checks.tuning_trials}
    if checks.tuning_trials and (trials.get(a, 0) != trials.get(b, 0)):
        reasons.append(f"unequal numbers of tuning trials: {trials.get(a, 0)} for {a}, {trials.get(b, 0)} for {b}")
    shares = primary.dropped_share(a), primary.dropped_share(b)
    if abs(shares[0] - shares[1]) > MOST_DROPPED_APART + 1e-9:
        reasons.append(
            f"{shares[0]:.1f}% of {a}'s prompts have no valid judgement, {shares[1]:.1f}% of {b}'s: "
            f"more than {MOST_DROPPED_APART:g} points apart"
        )
    if checks.measures_imitation is not None:
        reasons.append(checks.measures_imitation)
    return reasons


def opposite(primary: ContrastResult, other: ContrastResult, delta: float) -> bool:
    """Whether another judge gives the opposite level."""
    levels = {claim(*primary.decision_interval, delta), claim(*other.decision_interval, delta)}
    return levels == {"rl_adds_value", "sft_suffices"}


def unjudged(contrast: str, evaluation: str, seeds: int, delta: float) -> Verdict:
    """What is said where fewer than two prompts have a valid judgement for both arms: nothing can be."""
    scope = scope_of(seeds)
    reason = "fewer than two prompts have a valid judgement for both arms"
    sentence = wording.scoped(f"inconclusive: {reason} under {evaluation}.", scope, seeds)
    return Verdict("inconclusive", scope, contrast, evaluation, delta, (reason,), sentence)


def pending(contrast: str, evaluation: str, seeds: int, delta: float | None, missing: int, total: int) -> Verdict:
    """What a partial report says while the primary's judgements are not all there."""
    return Verdict(
        level="pending",
        scope=scope_of(seeds),
        contrast=contrast,
        evaluation=evaluation,
        delta=delta,
        reasons=(f"{missing} of {total} sets of judgements are still to come",),
        sentence=wording.incomplete(total - missing, total),
    )
