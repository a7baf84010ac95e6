"""A bootstrap over prompts, each resample with a refit, so that the interval carries the fit's own uncertainty.

Efron and Tibshirani 1993, An Introduction to the Bootstrap. What is drawn is a prompt with all its judgements, of all
arms and seeds: that keeps whatever makes them alike. The scale of lengths is a constant of the analysis, and stays.
Seeds are few and are not drawn; their variance is added as the contract has it (`crossed_from`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.analyst.intervals import Crossed, satterthwaite
from services.analyst.length_control import joint, minimal
from services.analyst.length_control.table import Floats, LengthTable
from shared.power import RECIPE_SEEDS

RESAMPLES, FEWEST = 500, 200
"""How many resamples are drawn, and of large tables at least: 200 know a standard error to 5% of itself, 500 to 3%."""
CELLS = 3_200_000
"""Cells of resamples x checkpoints x prompts, about, from which on fewer are drawn: a fit of two seconds."""
CHUNK = 120_000
"""Cells of resamples x checkpoints x prompts that are refitted at once: what stays in the processor's cache."""


def resamples_for(table: LengthTable) -> int:
    """How many resamples a table of this size has."""
    return int(np.clip(CELLS // table.preferences.size, FEWEST, RESAMPLES))


def draws(prompts: int, resamples: int, seed: int) -> Floats:
    """How often each prompt is in each resample, [resamples, prompts]."""
    return np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), resamples).astype(np.float64)


def joint_draws(table: LengthTable, weights: Floats, fits: joint.Fits) -> tuple[Floats, NDArray[np.bool_]]:
    """Figures [resamples, arms, seeds] with strengths and all refitted, and whether each resample's fit converged.

    Every refit begins at the fit of the whole table, `fits`.
    """
    size = max(1, CHUNK // (table.preferences.size))
    found, converged = [], []
    for at in range(0, len(weights), size):
        rows = weights[at : at + size]
        refitted = joint.fit(table, rows, fits.repeat(len(rows)), exact=False)
        found.append(joint.figures(table, rows, refitted))
        converged.append(refitted.converged)
    return np.concatenate(found), np.concatenate(converged)


def minimal_draws(
    table: LengthTable, weights: Floats, strengths: NDArray[np.float64]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Figures [resamples, arms, seeds] of one regression a checkpoint, with C as chosen on the whole table."""
    found = np.full((len(weights), len(table.arms), table.seeds), np.nan)
    converged = np.ones(len(weights), dtype=bool)
    for arm, seed in np.ndindex(len(table.arms), table.seeds):
        y, x, judged = minimal_rows(table, arm, seed)
        if judged.any():
            fitted = minimal.lasso(y, x, weights[:, judged], float(strengths[arm, seed]))
            found[:, arm, seed] = fitted.figure
            converged &= fitted.converged
    return found, converged


def minimal_rows(table: LengthTable, arm: int, seed: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """A checkpoint's preferences and covariate where it was judged, and where that is.

    The covariate's scale is of all its completions, as alpaca_eval has it: also of those without a preference.
    """
    judged = table.judged[arm, seed]
    x = minimal.covariate(table.lengths[arm, seed], table.reference_lengths)
    return table.preferences[arm, seed, judged], x[judged], judged


def crossed_from(estimates: Floats, resampled: Floats, prompts: int) -> Crossed:
    """The contract's interval for the mean of `estimates` [seeds], from its draws [resamples, seeds].

    With v the variance over resamples times n / (n - 1), in the contract's terms (services/analyst/intervals.py):
    vp = v(mean over seeds); vs = var(estimates) / S; r = (mean over seeds of v - vp) / (S - 1), because a seed's v is
    its prompt part plus S r. V and df are as there. Resamples without a figure (none of an arm's few prompts was
    drawn) are left out; the error is NaN where fewer than two have one.
    """
    seeds = len(estimates)
    resampled = resampled[np.isfinite(resampled).all(axis=1)]
    if len(resampled) < 2:
        resampled = np.full((2, seeds), np.nan)
    grow = prompts / (prompts - 1)
    mean = np.asarray(estimates.mean())
    vp = np.asarray(resampled.mean(axis=1).var(ddof=1) * grow)
    if seeds < RECIPE_SEEDS:
        zero = np.zeros(())
        return Crossed(mean, vp, zero, zero, vp, np.asarray(prompts - 1.0), prompts, seeds)
    vs = np.asarray(estimates.var(ddof=1) / seeds)
    r = np.asarray(max(resampled.var(axis=0, ddof=1).mean() * grow - vp, 0.0) / (seeds - 1))
    variance = np.maximum(vp + vs - r, vp)
    return Crossed(mean, vp, vs, r, variance, satterthwaite(vp, vs, r, prompts, seeds), prompts, seeds)
