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
73, who show that it raises that likelihood with the curvature held): with V the inverse Hessian of the penalised fit,

    sigma^2 <- sum w gamma^2 / (n - sum w V[gamma] / sigma^2)
    tau^2 <- |beta - mean beta|^2 / (A - 1 - tr(V[beta] C) / tau^2),     C the centring matrix

applied between Newton steps until neither moves. Laplace's approximation takes sigma too small where a prompt has few
judgements of 0 or 1 (Breslow and Lin 1995); the calibration of the intercepts keeps that out of the figure, as the
tests show against the exact marginal likelihood. `newton` has the step, which all resamples take together.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from services.analyst.length_control.newton import LEAST, MOST, SETTLED, STEEPEST, Fits, Precision, Problem, step
from services.analyst.length_control.table import Floats, LengthTable

__all__ = ["LEAST", "MOST", "STEEPEST", "Fits", "figures", "fit", "start"]

ITERATIONS = 200
EXACT: tuple[float, float, Precision] = (1e-7, SETTLED, np.float64)
ROUGH: tuple[float, float, Precision] = (1e-3, 1e-2, np.float32)
"""Log-odds that an intercept or slope, then the share that a strength may still move by; and the numbers' type."""


def start(table: LengthTable) -> Fits:
    """Intercepts at the raw win rates, no length effect, no difficulty."""
    share = np.nan_to_num(table.raw / 100, nan=0.5)
    count = table.judged.sum(axis=-1)
    one = np.ones(1)
    return Fits(
        intercepts=logit((share * count + 0.5) / (count + 1))[None],
        slopes=np.zeros((1, len(table.arms))),
        difficulties=np.zeros((1, table.prompts)),
        sigma=one if table.shares_prompts else LEAST * one,
        tau=0.5 * one if len(table.arms) > 1 else LEAST * one,
        drift=np.full((1, 2), np.nan),
        converged=np.zeros(1, dtype=bool),
    )


def fit(table: LengthTable, weights: Floats, begin: Fits, exact: bool = True) -> Fits:
    """A fit for each row of `weights` [resamples, prompts], from `begin`, which has as many.

    It ends when no intercept or slope moves by more than 1e-7 log-odds, nor a strength by more than a thousandth. One
    that is not `exact` ends at 1e-3 and a hundredth, in single precision, four times as fast: figures come within a
    hundredth of a point, and their spread over resamples within a thousandth of itself. What has not converged after
    200 steps says so.
    """
    tolerance, settled, precision = EXACT if exact else ROUGH
    problem = Problem.of(table, precision)
    found = begin.fresh()
    for _ in range(ITERATIONS):
        active = np.flatnonzero(~found.converged)
        if not len(active):
            break
        found.put(active, step(problem, weights[active], found.take(active), tolerance, settled))
    return found


def figures(table: LengthTable, weights: Floats, fits: Fits) -> Floats:
    """[resamples, arms, seeds]: mean win probability in percent at no length difference, over the prompts judged."""
    kept = weights * table.judged.any(axis=(0, 1))
    p = expit(fits.intercepts[..., None] + fits.difficulties[:, None, None, :])
    mean = (p * kept[:, None, None, :]).sum(axis=-1) / kept.sum(axis=1)[:, None, None]
    return np.where(table.judged.any(axis=-1), 100 * mean, np.nan)
