"""Contrasts: differences between arms, and differences of such differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.analyst.intervals import Floats, Interval, Method, crossed
from services.analyst.scores import Aligned, ArmScores, align
from shared.scales import POINTS


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms; the weights are +1 and -1."""

    name: str
    terms: tuple[tuple[int, str], ...]

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(arm for _, arm in self.terms)

    @property
    def weights(self) -> Floats:
        return np.array([weight for weight, _ in self.terms], dtype=np.float64)

    @property
    def pair(self) -> tuple[str, str] | None:
        """(A, B) when it is A - B."""
        return (self.terms[0][1], self.terms[1][1]) if [weight for weight, _ in self.terms] == [1, -1] else None

    @property
    def formula(self) -> str:
        """How it reads: `a − b`, or `(a − b) − (c − d)`."""
        names = self.arms
        return f"({names[0]} − {names[1]}) − ({names[2]} − {names[3]})" if len(names) == 4 else " − ".join(names)


@dataclass(frozen=True)
class LogOdds:
    """The same contrast between log-odds of the arms' means, by the delta method."""

    estimate: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class ContrastResult:
    """A contrast under one evaluation. `decision_interval` decides where several looks or cells were declared.

    `win_rates` are the two arms' against each other, which add up to 100, where they were judged head to head.
    `length_ratio` is how many times as long the first arm's completions are as the second's; None without completions.
    """

    contrast: Contrast
    evaluation: str
    estimate: float
    standard_error: float
    interval: tuple[float, float]
    decision_interval: tuple[float, float]
    p_value: float
    prompts: int
    seeds: int
    dropped: dict[str, int]
    total: int
    error: Interval
    log_odds: LogOdds | None = None
    win_rates: tuple[float, float] | None = None
    length_ratio: float | None = None
    unit: str = POINTS

    def dropped_share(self, arm: str) -> float:
        """Percent of the prompts that this arm has no valid judgement for."""
        return 100 * self.dropped[arm] / self.total if self.total else 0.0


def parse_contrasts(named: Mapping[str, Any]) -> dict[str, Contrast]:
    """Contrasts from a spec: `[A, B]` is A - B, `[[A, B], [C, D]]` is (A - B) - (C - D).

    Raises:
        ValueError: neither of the two forms, or an arm against itself.
    """
    return {name: Contrast(name, _terms(name, value)) for name, value in named.items()}


def _terms(name: str, value: Any) -> tuple[tuple[int, str], ...]:
    match value:
        case [str(a), str(b)] if a != b:
            return ((1, a), (-1, b))
        case [[str(a), str(b)], [str(c), str(d)]] if a != b and c != d:
            return ((1, a), (-1, b), (-1, c), (1, d))
    raise ValueError(f"contrasts.{name}: write [A, B] or [[A, B], [C, D]] with different arms, not {value!r}")


def weigh(values: NDArray[Any], weights: Floats) -> Floats:
    """D [..., seeds, prompts] from scores [..., arms, seeds, prompts]."""
    return np.asarray(np.einsum("a,...asn->...sn", weights, values))


def estimate(values: NDArray[Any], weights: Floats, method: Method = crossed) -> Interval:
    """A contrast's mean and error from scores [..., arms, seeds, prompts]; leading dimensions are a batch."""
    return method(weigh(values, weights))


def compare(
    contrast: Contrast,
    scores: Mapping[str, ArmScores],
    alpha: float,
    method: Method = crossed,
    bounded: bool = True,
    head_to_head: bool = False,
    unit: str = POINTS,
) -> ContrastResult | None:
    """A contrast under the evaluation that `scores` (by arm) are of; None if it cannot be estimated.

    It cannot where fewer than two prompts are valid for all of its arms. `alpha` is the decision's; `bounded` says that
    scores are percentages, so that log-odds exist; `unit` is the scores'. `head_to_head` says that the arms were judged
    against each other: a prompt's two scores are one judgement, and D = W[A] - W[B] counts it once.
    """
    chosen = [scores[arm] for arm in contrast.arms]
    aligned = align(chosen)
    if len(aligned.prompt_ids) < 2:
        return None
    error = estimate(aligned.values, contrast.weights, method)
    return ContrastResult(
        contrast=contrast,
        evaluation=chosen[0].evaluation,
        estimate=float(error.mean),
        standard_error=float(error.standard_error),
        interval=_pair(error.bounds()),
        decision_interval=_pair(error.bounds(alpha)),
        p_value=float(error.p_value()),
        prompts=error.prompts,
        seeds=error.seeds,
        dropped=aligned.dropped,
        total=aligned.total,
        error=error,
        log_odds=log_odds(aligned, contrast.weights, method) if bounded else None,
        win_rates=(float(aligned.values[0].mean()), float(aligned.values[1].mean())) if head_to_head else None,
        unit=unit,
    )


def log_odds(aligned: Aligned, weights: Floats, method: Method = crossed) -> LogOdds | None:
    """The contrast between logit(mean/100) of the arms; None where an arm won or lost everything.

    Delta method: each score moves its arm's log-odds by its distance from the mean over 100 p (1 - p), so the error is
    that of the contrast between these.
    """
    share = aligned.values.mean(axis=(1, 2)) / 100
    if (share <= 0).any() or (share >= 1).any():
        return None
    slope = 1 / (100 * share * (1 - share))
    logits = np.log(share / (1 - share))
    linear = logits[:, None, None] + (aligned.values - 100 * share[:, None, None]) * slope[:, None, None]
    error = estimate(linear, weights, method)
    return LogOdds(float(error.mean), float(error.standard_error), _pair(error.bounds()), float(error.p_value()))


def _pair(bounds: tuple[Floats, Floats]) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])
