"""A Newton step of the joint GLM, for many resamples at once.

Difficulties are eliminated: with D the Hessian of intercepts and slopes, u[i] their part with prompt i and h[i] that
prompt's own, the step solves with the Schur complement D - sum w u u' / h (Bates et al. 2015, J. Stat. Softw. 67,
section 3). So it costs O(prompts x checkpoints^2), and no matrix is as large as the prompts are many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from services.analyst.length_control.table import Floats, LengthTable

Bools = NDArray[np.bool_]

LEAST, MOST = 0.01, 6.0
"""Limits of sigma and tau, in log-odds."""
STEEPEST = 12.0
"""An intercept or slope of so many log-odds is taken as infinite, and stays there."""
LONGEST_STEP = 2.0
RIDGE = 1e-8
"""What keeps the Hessian invertible where the data say nothing of a parameter, which then stays where it starts."""
SETTLED = 1e-3
"""A step of log sigma or log tau below which it no longer moves."""


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
    converged: Bools

    def take(self, which: NDArray[np.intp]) -> Fits:
        return Fits(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def put(self, which: NDArray[np.intp], others: Fits) -> None:
        """Overwrite these resamples' fits in place."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[which] = getattr(others, name)

    def repeat(self, times: int) -> Fits:
        """The first fit so many times, to start from."""
        return self.take(np.zeros(times, dtype=np.intp))

    def fresh(self) -> Fits:
        """A copy from which to begin: nothing has converged yet."""
        copied = self.take(np.arange(len(self.sigma)))
        return replace(copied, drift=np.full_like(self.drift, np.nan), converged=np.zeros_like(self.converged))


@dataclass(frozen=True)
class Problem:
    """The table in the shape that a step needs; `judged` is 1 or 0, and `y` and `x` are 0 where it is 0."""

    y: Floats
    x: Floats
    judged: Floats
    shared: bool

    @classmethod
    def of(cls, table: LengthTable) -> Problem:
        y = np.nan_to_num(table.preferences)
        return cls(y, table.covariate, table.judged.astype(np.float64), table.shares_prompts)


@dataclass(frozen=True)
class Local:
    """Derivatives where the fits are. `residual` and `curvature` are [resamples, arms, seeds, prompts].

    `cross` [resamples, intercepts and slopes, prompts] is their part of the Hessian with each prompt, for one copy of
    it; `own` the prompt's second derivative and `pull` its first, [resamples, prompts].
    """

    residual: Floats
    curvature: Floats
    cross: Floats
    own: Floats
    pull: Floats


def step(problem: Problem, weights: Floats, at: Fits, tolerance: float) -> Fits:
    """One Newton step of all resamples, and one update of the strengths."""
    resamples, arms, _ = at.intercepts.shape
    local = _local(problem, at)
    scaled = local.cross * (weights / local.own)[:, None, :]
    schur = _hessian(problem, local, weights, at) - scaled @ local.cross.transpose(0, 2, 1)
    inverse = np.asarray(np.linalg.inv(schur), dtype=np.float64)
    towards = _gradient(problem, local, weights, at) - (scaled @ local.pull[..., None])[..., 0]
    change = (inverse @ towards[..., None])[..., 0]
    change *= np.minimum(1, LONGEST_STEP / np.maximum(np.abs(change).max(axis=1, keepdims=True), 1e-300))
    moved = (local.pull - (local.cross * change[..., None]).sum(axis=1)) / local.own

    levels = change[:, :-arms].reshape(at.intercepts.shape)
    intercepts = np.clip(at.intercepts + levels, -STEEPEST, STEEPEST)
    slopes = np.clip(at.slopes + change[:, -arms:], -STEEPEST, STEEPEST)
    difficulties = at.difficulties + np.clip(moved, -LONGEST_STEP, LONGEST_STEP)
    after = replace(at, intercepts=intercepts, slopes=slopes, difficulties=difficulties)
    after, settled = _strengths(problem, weights, after, local, inverse)
    size = np.abs(intercepts - at.intercepts).reshape(resamples, -1).max(axis=1)
    size = np.maximum(size, np.abs(slopes - at.slopes).max(axis=1))
    return replace(after, converged=settled & (size < tolerance))


def _local(problem: Problem, at: Fits) -> Local:
    resamples, _, _ = at.intercepts.shape
    prompts = at.difficulties.shape[1]
    p = expit(at.intercepts[..., None] + at.slopes[:, :, None, None] * problem.x + at.difficulties[:, None, None, :])
    residual = (problem.y - p) * problem.judged
    curvature = p * (1 - p) * problem.judged
    by_slope = (curvature * problem.x).sum(axis=2)
    precision = at.sigma[:, None] ** -2.0
    return Local(
        residual,
        curvature,
        cross=np.concatenate([curvature.reshape(resamples, -1, prompts), by_slope], axis=1),
        own=curvature.sum(axis=(1, 2)) + precision,
        pull=residual.sum(axis=(1, 2)) - at.difficulties * precision,
    )


def _gradient(problem: Problem, local: Local, weights: Floats, at: Fits) -> Floats:
    """Of intercepts, then slopes."""
    resamples = len(weights)
    levels = (local.residual * weights[:, None, None, :]).sum(axis=-1).reshape(resamples, -1)
    slopes = ((local.residual * problem.x).sum(axis=2) * weights[:, None, :]).sum(axis=-1)
    slopes -= (at.slopes - at.slopes.mean(axis=1, keepdims=True)) / at.tau[:, None] ** 2
    return np.concatenate([levels, slopes], axis=1)


def _hessian(problem: Problem, local: Local, weights: Floats, at: Fits) -> Floats:
    """Of intercepts, then slopes, with prompts' difficulties held."""
    resamples, arms, seeds = at.intercepts.shape
    checkpoints = arms * seeds
    weighted = local.curvature * weights[:, None, None, :]
    which = np.arange(checkpoints)
    slope_of = checkpoints + which // seeds
    last = np.arange(checkpoints, checkpoints + arms)
    hessian = np.zeros((resamples, checkpoints + arms, checkpoints + arms))
    hessian[:, which, which] = weighted.sum(axis=-1).reshape(resamples, -1)
    mixed = (weighted * problem.x).sum(axis=-1).reshape(resamples, -1)
    hessian[:, which, slope_of] = hessian[:, slope_of, which] = mixed
    hessian[:, last, last] = (weighted * problem.x**2).sum(axis=(-2, -1))
    centring = np.eye(arms) - 1 / arms
    hessian[:, checkpoints:, checkpoints:] += centring / at.tau[:, None, None] ** 2
    return np.asarray(hessian + RIDGE * np.eye(checkpoints + arms))


def _strengths(problem: Problem, weights: Floats, at: Fits, local: Local, inverse: Floats) -> tuple[Fits, Bools]:
    """Fellner and Schall's update of sigma and tau, and which resamples' strengths no longer move.

    `inverse` is V of intercepts and slopes; that of a difficulty is 1 / own + cross' V cross / own^2.
    """
    arms = at.slopes.shape[1]
    sigma, tau, drift = at.sigma, at.tau, at.drift.copy()
    settled = np.ones(len(sigma), dtype=bool)
    if problem.shared:
        judged = problem.judged.any(axis=(0, 1))
        outer = (local.cross * (weights / local.own**2)[:, None, :]) @ local.cross.transpose(0, 2, 1)
        variance = (weights / local.own).sum(axis=1, where=judged) + (outer * inverse).sum(axis=(1, 2))
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


def _updated(strength: Floats, last: Floats, squares: Floats, freedom: Floats) -> tuple[Floats, Floats, Bools]:
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
