"""A Newton step of the joint GLM, for many resamples at once.

Difficulties are eliminated: with D the Hessian of intercepts and slopes, u[i] their part with prompt i and h[i] that
prompt's own, the step solves with the Schur complement D - sum w u u' / h (Bates et al. 2015, J. Stat. Softw. 67,
section 3). So it costs O(prompts x checkpoints^2), and no matrix is as large as the prompts are many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from services.analyst.length_control.table import Floats, LengthTable

Bools = NDArray[np.bool_]
Table = NDArray[np.floating[Any]]
Precision = type[np.float64] | type[np.float32]

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
    """The table in the shape that a step needs; `judged` is 1 or 0, and `y` and `x` are 0 where it is 0.

    All that is as large as the table is kept in the type of these; what is as small as the parameters in 64 bits.
    """

    y: Table
    x: Table
    judged: Table
    shared: bool

    @classmethod
    def of(cls, table: LengthTable, precision: Precision = np.float64) -> Problem:
        y: Table = np.nan_to_num(table.preferences).astype(precision)
        x: Table = table.covariate.astype(precision)
        judged: Table = table.judged.astype(precision)
        return cls(y, x, judged, table.shares_prompts)


@dataclass(frozen=True)
class Local:
    """Derivatives where the fits are. `residual` and `curvature` are [resamples, arms, seeds, prompts].

    `cross` [resamples, intercepts and slopes, prompts] is their part of the Hessian with each prompt, for one copy of
    it; `own` the prompt's second derivative and `pull` its first, [resamples, prompts].
    """

    residual: Table
    curvature: Table
    cross: Table
    own: Table
    pull: Table


def step(problem: Problem, weights: Floats, at: Fits, tolerance: float, settled_below: float = SETTLED) -> Fits:
    """One Newton step of all resamples, and one update of the strengths."""
    resamples, arms, _ = at.intercepts.shape
    local = _local(problem, at)
    copies = weights.astype(local.own.dtype, copy=False)
    scaled = local.cross * (copies / local.own)[:, None, :]
    schur = _hessian(problem, local, copies, at) - scaled @ local.cross.transpose(0, 2, 1)
    inverse = np.asarray(np.linalg.inv(schur), dtype=np.float64)
    towards = _gradient(problem, local, copies, at) - _times(scaled, local.pull)
    change = _times(inverse, towards)
    change *= np.minimum(1, LONGEST_STEP / np.maximum(np.abs(change).max(axis=1, keepdims=True), 1e-300))
    moved = (local.pull - _times(local.cross.transpose(0, 2, 1), change.astype(local.cross.dtype))) / local.own

    levels = change[:, :-arms].reshape(at.intercepts.shape)
    intercepts = np.clip(at.intercepts + levels, -STEEPEST, STEEPEST)
    slopes = np.clip(at.slopes + change[:, -arms:], -STEEPEST, STEEPEST)
    difficulties = at.difficulties + np.clip(moved, -LONGEST_STEP, LONGEST_STEP)
    after = replace(at, intercepts=intercepts, slopes=slopes, difficulties=difficulties)
    after, settled = _strengths(problem, copies, after, local, inverse, settled_below)
    size = np.abs(intercepts - at.intercepts).reshape(resamples, -1).max(axis=1)
    size = np.maximum(size, np.abs(slopes - at.slopes).max(axis=1))
    return replace(after, converged=settled & (size < tolerance))


def _times(matrix: Table, vector: Table) -> Table:
    """Matrix times vector, of each resample: what BLAS does without a copy of the matrix."""
    return np.asarray((matrix @ vector[..., None])[..., 0])


def _local(problem: Problem, at: Fits) -> Local:
    resamples, arms, seeds = at.intercepts.shape
    prompts, checkpoints, kind = at.difficulties.shape[1], arms * seeds, problem.y.dtype
    p = at.slopes.astype(kind)[:, :, None, None] * problem.x
    p += at.intercepts.astype(kind)[..., None]
    p += at.difficulties.astype(kind)[:, None, None, :]
    expit(p, out=p)
    residual = problem.y - p
    residual *= problem.judged
    cross = np.empty((resamples, checkpoints + arms, prompts), dtype=kind)
    curvature = cross[:, :checkpoints].reshape(resamples, arms, seeds, prompts)
    np.multiply(p, 1 - p, out=curvature)
    curvature *= problem.judged
    np.sum(curvature * problem.x, axis=2, out=cross[:, checkpoints:])
    precision = (at.sigma[:, None] ** -2.0).astype(kind)
    return Local(
        residual,
        curvature,
        cross,
        own=curvature.sum(axis=(1, 2)) + precision,
        pull=residual.sum(axis=(1, 2)) - at.difficulties.astype(kind) * precision,
    )


def _gradient(problem: Problem, local: Local, weights: Table, at: Fits) -> Floats:
    """Of intercepts, then slopes."""
    resamples, prompts = weights.shape
    levels = _times(local.residual.reshape(resamples, -1, prompts), weights)
    slopes = _times((local.residual * problem.x).sum(axis=2), weights)
    pulled = (at.slopes - at.slopes.mean(axis=1, keepdims=True)) / at.tau[:, None] ** 2
    return np.concatenate([levels, slopes - pulled], axis=1)


def _hessian(problem: Problem, local: Local, weights: Table, at: Fits) -> Floats:
    """Of intercepts, then slopes, with prompts' difficulties held."""
    resamples, arms, seeds = at.intercepts.shape
    prompts, checkpoints = weights.shape[1], arms * seeds
    by_slope = local.curvature * problem.x
    which = np.arange(checkpoints)
    slope_of = checkpoints + which // seeds
    last = np.arange(checkpoints, checkpoints + arms)
    hessian = np.zeros((resamples, checkpoints + arms, checkpoints + arms))
    hessian[:, which, which] = _times(local.cross[:, :checkpoints], weights)
    mixed = _times(by_slope.reshape(resamples, checkpoints, prompts), weights)
    hessian[:, which, slope_of] = hessian[:, slope_of, which] = mixed
    by_slope *= problem.x
    hessian[:, last, last] = _times(by_slope.sum(axis=2), weights)
    centring = np.eye(arms) - 1 / arms
    hessian[:, checkpoints:, checkpoints:] += centring / at.tau[:, None, None] ** 2
    return np.asarray(hessian + RIDGE * np.eye(checkpoints + arms))


def _strengths(
    problem: Problem, weights: Table, at: Fits, local: Local, inverse: Floats, settled_below: float
) -> tuple[Fits, Bools]:
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
        sigma, drift[:, 0], moved = _updated(sigma, drift[:, 0], squares, prompts - variance / sigma**2)
        settled &= moved < settled_below
    if arms > 1:
        slopes = inverse[:, -arms:, -arms:]
        variance = np.trace(slopes, axis1=1, axis2=2) - slopes.mean(axis=(1, 2)) * arms
        centred = at.slopes - at.slopes.mean(axis=1, keepdims=True)
        tau, drift[:, 1], moved = _updated(tau, drift[:, 1], (centred**2).sum(axis=1), arms - 1 - variance / tau**2)
        settled &= moved < settled_below
    return replace(at, sigma=sigma, tau=tau, drift=drift), settled


def _updated(strength: Floats, last: Floats, squares: Floats, freedom: Floats) -> tuple[Floats, Floats, Floats]:
    """sqrt(squares / freedom) within the limits, the step to extrapolate the next one from, and by how much its
    logarithm moved.

    The update converges linearly, so every second one is extrapolated to where its steps' geometric series ends
    (Aitken). No step is longer than a factor e.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        step = 0.5 * np.log(np.maximum(squares, 1e-300) / np.maximum(freedom, 1e-300)) - np.log(strength)
        ratio = step / last
    further = (ratio > 0) & (ratio < 1)
    long = np.where(further, step / (1 - np.where(further, np.minimum(ratio, 0.95), 0)), step)
    new = np.clip(strength * np.exp(np.clip(long, -1, 1)), LEAST, MOST)
    return new, np.where(further, np.nan, step), np.abs(np.log(new / strength))
