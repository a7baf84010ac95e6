"""AlpacaEval's `length_controlled_minimal`: one logistic regression a checkpoint, on its own labels alone.

    logit p[i] = a + b tanh(d[i] / sd(d)),     d = length - reference's;     figure: 100 expit(a)

What alpaca_eval 0.6.6 does (Dubois et al. 2024, arXiv 2404.04475; metrics/glm_winrate.py with scikit-learn's
LogisticRegressionCV): the labels may be continuous; it minimises |a| + |b| + C sum loss with C out of ten between 1e-4
and 1e4, chosen by the mean log loss over five folds of the rows, and fits once more on all. Its published figures also
take prompts' difficulties from a file; without them this is far off for weak models, which `joint` is not.

Two things are ours. The folds are dealt out in the order of the prompts (its own come from an unstable sort, which no
two platforms need to agree on). And a resample keeps the C that was chosen: a prompt drawn twice would lie on both
sides of a fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from services.analyst.length_control.table import Floats

STRENGTHS = np.logspace(-4, 4, 10)
"""The candidates for C, the weight of the loss against the penalty."""
FOLDS = 5
ITERATIONS = 100


@dataclass(frozen=True)
class Lasso:
    """Intercept and slope in log-odds, one of each a resample, and whether the fit is at its minimum."""

    intercept: Floats
    slope: Floats
    converged: NDArray[np.bool_]

    @property
    def figure(self) -> Floats:
        """Percent."""
        return 100 * np.asarray(expit(self.intercept))


def covariate(lengths: Floats, reference: Floats) -> Floats:
    """tanh of the length difference over its standard deviation, of all prompts with both lengths; 0 if it has none."""
    difference = lengths - reference
    known = difference[np.isfinite(difference)]
    scale = np.std(known, ddof=1) if len(known) > 1 else 0.0
    return np.where(np.isfinite(difference), np.tanh(difference / scale), 0.0) if scale > 0 else np.zeros(len(lengths))


def chosen_strength(y: Floats, x: Floats) -> float:
    """The C whose held-out log loss, averaged over the folds, is least; `y` in 0..1, none missing.

    With fewer rows than folds: the largest, which is next to no penalty.
    """
    if len(y) < FOLDS:
        return float(STRENGTHS[-1])
    fold = np.arange(len(y)) % FOLDS
    training = (fold != np.arange(FOLDS)[:, None]).astype(np.float64)
    losses = []
    for strength in STRENGTHS:
        found = lasso(y, x, training, float(strength))
        linear = found.intercept[:, None] + found.slope[:, None] * x
        loss = -(y * log_expit(linear) + (1 - y) * log_expit(-linear))
        losses.append(np.mean([row[fold == number].mean() for number, row in enumerate(loss)]))
    return float(STRENGTHS[int(np.argmin(losses))])


def lasso(y: Floats, x: Floats, weights: Floats, strength: float) -> Lasso:
    """Minimise |a| + |b| + C sum w loss for each row of `weights` [resamples, rows]; `strength` is C.

    Which side of zero each coefficient lies on is found first, so that what is left is smooth: min over b is convex in
    a, so a leaves zero only if there, with b at its best, the loss falls faster than |a| rises; and likewise for b.
    """
    columns = np.stack([np.ones_like(x), x])
    weighted = weights * strength
    sides = np.zeros((len(weights), 2))
    origin = _side(_derivatives(np.zeros_like(sides), y, columns, weighted)[0])
    for other in (0, 1):
        alone = origin.copy()
        alone[:, 1 - other] = 0
        at, _ = _newton(y, columns, weighted, alone)
        sides[:, 1 - other] = _side(_derivatives(at, y, columns, weighted)[0])[:, 1 - other]
    at, converged = _newton(y, columns, weighted, sides)
    return Lasso(at[:, 0], at[:, 1], converged)


def _side(gradient: Floats) -> Floats:
    """To which side of zero a coefficient goes; 0 where it stays."""
    return np.where(np.abs(gradient) > 1, -np.sign(gradient), 0.0)


def _newton(y: Floats, columns: Floats, weights: Floats, sides: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Minimise the weighted loss plus `sides` times the coefficients; those whose side is 0 stay at 0."""
    at = np.zeros_like(sides)
    converged = np.zeros(len(sides), dtype=bool)
    for _ in range(ITERATIONS):
        rows = np.flatnonzero(~converged)
        gradient, hessian = _derivatives(at[rows], y, columns, weights[rows])
        free = sides[rows] != 0
        both = free[:, :, None] & free[:, None, :]
        kept = np.where(both, hessian, 0.0) + np.where(free, 1e-10, 1.0)[:, :, None] * np.eye(2)
        step = np.linalg.solve(kept, np.where(free, gradient + sides[rows], 0.0)[..., None])[..., 0]
        longest = np.maximum(2, np.abs(at[rows]).max(axis=1, keepdims=True))
        step *= np.minimum(1, longest / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
        at[rows] -= step
        converged[rows] = np.abs(step).max(axis=1) < 1e-8
        if converged.all():
            break
    return at, converged


def _derivatives(at: Floats, y: Floats, columns: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Gradient [resamples, 2] and Hessian [resamples, 2, 2] of the weighted loss."""
    p = expit(at @ columns)
    gradient = (weights * (p - y)) @ columns.T
    curvature = weights * p * (1 - p)
    hessian = np.einsum("rn,an,bn->rab", curvature, columns, columns, optimize=True)
    return gradient, hessian
