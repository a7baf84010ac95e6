"""Contrasts from published figures: win rates with standard errors, but without the judgements they came from.

Arms judged on the same prompts are correlated, and a table of marginal standard errors does not say how much. So a
correlation rho between every two arms' means is *assumed*:

    d = sum c[a] p[a];     V = sum c[a] c[b] rho[a,b] se[a] se[b],     rho[a,a] = 1

In log-odds, logit(p/100) in place of p, and se / (100 p (1 - p)) in place of se, p as a share (delta method). One run
an arm: what another seed would give is not in it. For a difference, rho = 0 gives an interval that is, if anything, too
wide, because arms judged on the same prompts correlate positively.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.analyst.contrasts import Contrast, ContrastResult, LogOdds
from services.analyst.intervals import Crossed, Floats


@dataclass(frozen=True)
class Marginal:
    """A published win rate and its standard error, in percent."""

    estimate: float
    standard_error: float


def contrast_of(
    contrast: Contrast,
    arms: Mapping[str, Marginal],
    evaluation: str,
    prompts: int,
    correlation: float = 0.0,
    alpha: float = 0.05,
) -> ContrastResult:
    """The contrast, in the terms that `verdict.decide` takes; `correlation` is assumed, `prompts` gives the df.

    Raises:
        KeyError: an arm of the contrast that was not published.
        ValueError: fewer than two prompts, or a correlation outside 0..1.
    """
    if prompts < 2 or not 0 <= correlation <= 1:
        raise ValueError(f"give at least 2 prompts and a correlation in 0..1, not {prompts} and {correlation:g}")
    chosen = [arms[arm] for arm in contrast.arms]
    signs = np.array([float(sign) for sign, _ in contrast.terms])
    value = np.array([one.estimate for one in chosen])
    spread = np.array([one.standard_error for one in chosen])
    error = _sum_of(signs, value, spread, correlation, prompts)
    return ContrastResult(
        contrast=contrast,
        evaluation=evaluation,
        estimate=float(error.mean),
        standard_error=float(error.standard_error),
        interval=_ends(error, 0.05),
        decision_interval=_ends(error, alpha),
        p_value=float(error.p_value()),
        prompts=prompts,
        seeds=1,
        dropped=dict.fromkeys(contrast.arms, 0),
        total=prompts,
        error=error,
        log_odds=_log_odds(signs, value / 100, spread / 100, correlation, prompts),
    )


def _sum_of(signs: Floats, value: Floats, spread: Floats, correlation: float, prompts: int) -> Crossed:
    covariance = correlation * np.outer(spread, spread)
    np.fill_diagonal(covariance, spread**2)
    variance = np.asarray(signs @ covariance @ signs)
    zero = np.zeros(())
    return Crossed(
        np.asarray(signs @ value), variance, zero, zero, variance, np.asarray(prompts - 1.0), prompts, seeds=1
    )


def _log_odds(signs: Floats, share: Floats, spread: Floats, correlation: float, prompts: int) -> LogOdds | None:
    """None where an arm won or lost everything."""
    if (share <= 0).any() or (share >= 1).any():
        return None
    logits = np.log(share / (1 - share))
    error = _sum_of(signs, logits, spread / (share * (1 - share)), correlation, prompts)
    return LogOdds(float(error.mean), float(error.standard_error), _ends(error, 0.05), float(error.p_value()))


def _ends(error: Crossed, alpha: float) -> tuple[float, float]:
    low, high = error.bounds(alpha)
    return float(low), float(high)
