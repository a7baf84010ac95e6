"""The joint GLM: all arms in one fit, so that length slopes and prompt difficulties are shared between them.

For checkpoint (a, s) (arm a, seed s) on prompt i, with x the table's covariate and y the preference in 0..1:

    logit p[a,s,i] = alpha[a,s] + beta[a] x[a,s,i] + gamma[i]
    beta[a] ~ N(mean beta, tau^2)      a slope an arm, shrunk to a common one that is itself free
    gamma[i] ~ N(0, sigma^2)           a prompt's difficulty, shrunk to zero

It maximises sum w (y log p + (1 - y) log(1 - p) - gamma^2 / (2 sigma^2)) - |beta - mean beta|^2 / (2 tau^2), where w
is how often the prompt is in the resample (1 in the fit itself): a Bernoulli quasi-likelihood, so that continuous
preferences are allowed (Papke and Wooldridge 1996). Intercepts carry no penalty. Their score equations then say that
mean p = mean y for every checkpoint at the lengths as they are: what control changes is due to length alone, and with
slopes of zero the figure *is* the raw win rate. The figure:

    100 / n sum_i w[i] expit(alpha[a,s] + gamma[i])        the same prompts for every arm

The two strengths come from the data, by the marginal likelihood under Laplace's approximation with alpha and mean beta
flat (so: as REML). The update is Fellner and Schall's (Schall 1991, Biometrika 78; Wood and Fasiolo 2017, Biometrics
73, who show that it raises that likelihood): with V the inverse Hessian of the penalised fit,

    sigma^2 <- sum w gamma^2 / (n - sum w V[gamma] / sigma^2)
    tau^2 <- |beta - mean beta|^2 / (A - 1 - tr(V[beta] C) / tau^2),     C the centring matrix

applied between Newton steps until neither moves. Laplace's approximation takes sigma too small where a prompt has few
judgements of 0 or 1 (Breslow and Lin 1995); the calibration of the intercepts keeps that out of the figure, as the
simulation in the tests shows. Gamma is eliminated by a Schur complement, so a step costs O(prompts x checkpoints^2),
and all resamples take theirs together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from services.analyst.length_control.table import Floats, LengthTable

LEAST, MOST = 0.01, 6.0
"""Limits of sigma and tau, in log-odds."""
STEEPEST = 12.0
"""An intercept or slope of so many log-odds is taken as infinite, and stays there."""
LONGEST_STEP = 2.0
RIDGE = 1e-8
"""What keeps the Hessian invertible where the data say nothing of a parameter, which then stays where it starts."""
SETTLED = 1e-3
"""A step of log sigma or log tau below which it no longer moves."""
ITERATIONS = 200


@dataclass(frozen=True)
class Fits:
    """A fit for each resample, along the first dimension. Strengths are standard deviations in log-odds."""

    intercepts: Floats
    """[resamples, arms, seeds]"""
    slopes: Floats
    """[resamples, arms]"""
    difficulties: Floats
    """[resamples, prompts]"""
    sigma: Floats
    tau: Floats
    drift: Floats
    """[resamples, 2]: the last steps of log sigma and log tau, NaN where none can be extrapolated from"""
    converged: NDArray[np.bool_]

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Fits:
        return Fits(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def put(self, which: NDArray[np.intp], others: Fits) -> None:
        """Overwrite these resamples' fits in place."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[which] = getattr(others, name)

    def repeat(self, times: int) -> Fits:
        """The first fit so many times, to start from."""
        return Fits(*(np.repeat(getattr(self, name)[:1], times, axis=0) for name in self.__dataclass_fields__))


def start(table: LengthTable) -> Fits:
    """Intercepts at the raw win rates, no length effect, no difficulty."""
    share = np.nan_to_num(table.raw / 100, nan=0.5)
    count = table.judged.sum(axis=-1)
    intercepts = logit((share * count + 0.5) / (count + 1))
    one = np.ones(1)
    return Fits(
        intercepts=intercepts[None],
        slopes=np.zeros((1, len(table.arms))),
        difficulties=np.zeros((1, table.prompts)),
        sigma=one if _shared(table) else LEAST * one,
        tau=0.5 * one if len(table.arms) > 1 else LEAST * one,
        drift=np.full((1, 2), np.nan),
        converged=np.zeros(1, dtype=bool),
    )


def _shared(table: LengthTable) -> bool:
    """Whether some prompt was judged more than once: from one judgement a prompt its difficulty cannot be told."""
    return bool((table.judged.sum(axis=(0, 1)) > 1).any())


def fit(table: LengthTable, weights: Floats, begin: Fits, tolerance: float = 1e-7) -> Fits:
    """A fit for each row of `weights` [resamples, prompts], from `begin` (as many).

    `tolerance` is on the largest step of an intercept or slope, in log-odds; the strengths move by less than a
    thousandth when it is reached. What has not converged after 200 steps says so.
    """
    problem = Problem(table)
    found = begin.repeat(len(begin.sigma)) if len(begin.sigma) == 1 else begin.take(slice(None))
    found = Fits(*(np.array(getattr(found, name)) for name in found.__dataclass_fields__))
    found.converged[:] = False
    found.drift[:] = np.nan
    for _ in range(ITERATIONS):
        active = np.flatnonzero(~found.converged)
        if not len(active):
            break
        found.put(active, _step(problem, weights[active], found.take(active), tolerance))
    return found


@dataclass(frozen=True)
class Problem:
    """The table in the shape that a step needs."""

    y: Floats
    x: Floats
    judged: Floats
    shared: bool

    def __init__(self, table: LengthTable) -> None:
        object.__setattr__(self, "y", np.nan_to_num(table.preferences))
        object.__setattr__(self, "x", table.covariate)
        object.__setattr__(self, "judged", table.judged.astype(np.float64))
        object.__setattr__(self, "shared", _shared(table))


def _step(problem: Problem, weights: Floats, at: Fits, tolerance: float) -> Fits:
    """One Newton step of all resamples, and one update of the strengths."""
    resamples, arms, seeds = at.intercepts.shape
    prompts = weights.shape[1]
    checkpoints = arms * seeds
    linear = at.intercepts[..., None] + at.slopes[:, :, None, None] * problem.x + at.difficulties[:, None, None, :]
    p = expit(linear)
    residual = (problem.y - p) * problem.judged
    curvature = p * (1 - p) * problem.judged
    by_slope = (curvature * problem.x).sum(axis=2)
    cross = np.concatenate([curvature.reshape(resamples, checkpoints, prompts), by_slope], axis=1)

    precision = at.sigma[:, None] ** -2.0
    own = curvature.sum(axis=(1, 2)) + precision
    pull = residual.sum(axis=(1, 2)) - at.difficulties * precision
    gradient = np.concatenate(
        [
            (residual * weights[:, None, None, :]).sum(axis=-1).reshape(resamples, checkpoints),
            ((residual * problem.x).sum(axis=2) * weights[:, None, :]).sum(axis=-1),
        ],
        axis=1,
    )
    slope_precision = at.tau**-2.0
    gradient[:, checkpoints:] -= slope_precision[:, None] * (at.slopes - at.slopes.mean(axis=1, keepdims=True))
    hessian = _own_block(problem, curvature, weights)
    centring = np.eye(arms) - 1 / arms
    hessian[:, checkpoints:, checkpoints:] += slope_precision[:, None, None] * centring
    hessian += RIDGE * np.eye(checkpoints + arms)

    scaled = cross * (weights / own)[:, None, :]
    schur = hessian - scaled @ cross.transpose(0, 2, 1)
    inverse = np.linalg.inv(schur)
    change = (inverse @ (gradient - (scaled @ pull[..., None])[..., 0])[..., None])[..., 0]
    change *= np.minimum(1, LONGEST_STEP / np.maximum(np.abs(change).max(axis=1, keepdims=True), 1e-300))
    moved = (pull - (cross * change[..., None]).sum(axis=1)) / own
    moved = np.clip(moved, -LONGEST_STEP, LONGEST_STEP)

    intercepts = np.clip(at.intercepts + change[:, :checkpoints].reshape(at.intercepts.shape), -STEEPEST, STEEPEST)
    slopes = np.clip(at.slopes + change[:, checkpoints:], -STEEPEST, STEEPEST)
    difficulties = at.difficulties + moved
    size = np.maximum(
        np.abs(intercepts - at.intercepts).max(axis=(1, 2)), np.abs(slopes - at.slopes).max(axis=1, initial=0.0)
    )
    after = replace(at, intercepts=intercepts, slopes=slopes, difficulties=difficulties)
    after, settled = _strengths(problem, weights, after, own, scaled / own[:, None, :], cross, inverse)
    return replace(after, converged=settled & (size < tolerance))


def _own_block(problem: Problem, curvature: Floats, weights: Floats) -> Floats:
    """The Hessian of intercepts and slopes, with prompts' difficulties held."""
    resamples, arms, seeds, _ = curvature.shape
    weighted = curvature * weights[:, None, None, :]
    mixed = (weighted * problem.x).sum(axis=-1)
    checkpoints = arms * seeds
    block = np.zeros((resamples, checkpoints + arms, checkpoints + arms))
    which = np.arange(checkpoints)
    slope_of = checkpoints + which // seeds
    block[:, which, which] = weighted.sum(axis=-1).reshape(resamples, checkpoints)
    block[:, which, slope_of] = block[:, slope_of, which] = mixed.reshape(resamples, checkpoints)
    last = np.arange(checkpoints, checkpoints + arms)
    block[:, last, last] = (weighted * problem.x**2).sum(axis=(-2, -1))
    return block


def _strengths(
    problem: Problem, weights: Floats, at: Fits, own: Floats, doubly: Floats, cross: Floats, inverse: Floats
) -> tuple[Fits, NDArray[np.bool_]]:
    """Fellner and Schall's update of sigma and tau, and which resamples' strengths no longer move.

    `doubly` is cross times weight over the square of `own`: a difficulty's variance is 1 / own + cross' inverse cross /
    own^2.
    """
    arms = at.slopes.shape[1]
    sigma, tau, drift = at.sigma, at.tau, at.drift.copy()
    settled = np.ones(len(sigma), dtype=bool)
    if problem.shared:
        judged = problem.judged.any(axis=(0, 1))
        variance = (weights / own).sum(axis=1, where=judged) + ((doubly @ cross.transpose(0, 2, 1)) * inverse).sum(
            axis=(1, 2)
        )
        prompts = weights.sum(axis=1, where=judged)
        squares = (weights * at.difficulties**2).sum(axis=1)
        sigma, drift[:, 0], still = _updated(sigma, drift[:, 0], squares, prompts - variance / sigma**2)
        settled &= still
    if arms > 1:
        slopes = inverse[:, -arms:, -arms:]
        variance = np.trace(slopes, axis1=1, axis2=2) - slopes.mean(axis=(1, 2)) * arms
        centred = at.slopes - at.slopes.mean(axis=1, keepdims=True)
        tau, drift[:, 1], still = _updated(tau, drift[:, 1], (centred**2).sum(axis=1), arms - 1 - variance / tau**2)
        settled &= still
    return replace(at, sigma=sigma, tau=tau, drift=drift), settled


def _updated(
    strength: Floats, last: Floats, squares: Floats, freedom: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """sqrt(squares / freedom) within the limits, the step to extrapolate the next one from, and whether it has settled.

    The update converges linearly, so every second one is extrapolated to where its steps' geometric series ends
    (Aitken). No step is longer than a factor e.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        step = 0.5 * np.log(np.maximum(squares, 1e-300) / np.maximum(freedom, 1e-300)) - np.log(strength)
        ratio = step / last
    further = (ratio > 0) & (ratio < 1)
    long = np.where(further, step / (1 - np.where(further, np.minimum(ratio, 0.95), 0)), step)
    new = np.clip(strength * np.exp(np.clip(long, -1, 1)), LEAST, MOST)
    return new, np.where(further, np.nan, step), np.abs(np.log(new / strength)) < SETTLED


def figures(table: LengthTable, weights: Floats, fits: Fits) -> Floats:
    """[resamples, arms, seeds]: mean win probability in percent at no length difference, over the prompts judged."""
    kept = weights * table.judged.any(axis=(0, 1))
    p = expit(fits.intercepts[..., None] + fits.difficulties[:, None, None, :])
    mean = (p * kept[:, None, None, :]).sum(axis=-1) / kept.sum(axis=1)[:, None, None]
    return np.where(table.judged.any(axis=-1), 100 * mean, np.nan)
