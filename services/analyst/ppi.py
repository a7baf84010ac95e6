"""A contrast corrected with gold labels: prediction-powered inference.

A judge may favour one arm, and then more prompts only make its contrast more surely wrong. Where gold labels (human
ones, or a check that cannot err) exist for a random subset of the prompts, the judge's scores of all prompts narrow the
interval and the gold labels keep it true (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic 2023, Science 382: PPI;
Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453: PPI++). With D the judge's differences, G the gold ones, m
labelled prompts and N others:

    theta = mean(G - w D over the m) + w mean(D over the N)
    w = cov(G, D) / ((1 + m/N) var(D)), within 0..1                     (power tuning; w = 1 is PPI, w = 0 gold alone)

Both means are over disjoint prompts, so their variances add; each is over seeds and prompts as the contract has it, and
seeds are shared: V = max(vp + vs - r, vp) of the sum, vs from the seeds' own theta, df by Satterthwaite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from services.analyst.intervals import Floats, crossed, half_width
from shared.power import RECIPE_SEEDS

FEWEST = 10
"""Labelled prompts below which the interval would not cover what it says."""


@dataclass(frozen=True)
class Corrected:
    """The corrected mean and its error, with the judge's weight w; every array has the batch's shape.

    `bias` is the mean of judge minus gold over the labelled prompts, in points.
    """

    mean: Floats
    variance: Floats
    df: Floats
    weight: Floats
    bias: Floats
    prompts: int
    seeds: int
    labelled: int

    @property
    def standard_error(self) -> Floats:
        return np.asarray(np.sqrt(self.variance))

    def bounds(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Both ends of the interval that misses the truth in a share `alpha` of experiments."""
        h = half_width(self.variance, self.df, alpha)
        return self.mean - h, self.mean + h

    def p_value(self) -> Floats:
        """Two-sided p of a true mean of zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.mean) / self.standard_error
        return np.asarray(np.where(self.mean == 0, 1.0, 2 * stdtr(self.df, -t)))


def corrected(
    judged: NDArray[Any], gold: NDArray[Any], labelled: NDArray[np.bool_], weight: float | None = None
) -> Corrected:
    """The gold contrast's mean from `judged` [..., seeds, prompts] and `gold` [..., seeds, labelled prompts].

    `labelled` [prompts] says which prompts those are: a random choice, made before anything was seen. `weight` fixes w;
    None tunes it.

    Raises:
        ValueError: fewer than ten labelled prompts or two others, or `gold` is not of the labelled prompts.
    """
    m, others = int(labelled.sum()), int((~labelled).sum())
    if m < FEWEST or others < 2:
        raise ValueError(f"needs at least {FEWEST} labelled prompts and 2 others, not {m} and {others}")
    if gold.shape != (*judged.shape[:-1], m):
        raise ValueError(f"gold has the shape {gold.shape}, not {(*judged.shape[:-1], m)}")
    seen, rest = (np.asarray(judged[..., of], dtype=np.float64) for of in (labelled, ~labelled))
    w = tuned_weight(seen, rest, gold) if weight is None else np.full(judged.shape[:-2], float(weight))
    scale = w[..., None, None]
    return _sum(gold - scale * seen, scale * rest, w, (seen - gold).mean(axis=(-2, -1)))


def tuned_weight(seen: Floats, rest: Floats, gold: NDArray[Any]) -> Floats:
    """The w that makes the variance over prompts smallest, from the seeds' means; 0 where the judge never varies."""
    d, g = seen.mean(axis=-2), gold.mean(axis=-2)
    m, others = d.shape[-1], rest.shape[-1]
    dc, gc = d - d.mean(axis=-1, keepdims=True), g - g.mean(axis=-1, keepdims=True)
    covariance = (dc * gc).sum(axis=-1) / (m - 1)
    whole = np.concatenate([d, rest.mean(axis=-2)], axis=-1).var(axis=-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        w = covariance / ((1 + m / others) * whole)
    return np.clip(np.where(whole > 0, w, 0.0), 0.0, 1.0)


def _sum(x: Floats, y: Floats, weight: Floats, bias: Floats) -> Corrected:
    """The mean of x plus the mean of y, over different prompts and the same seeds."""
    a, b = crossed(x), crossed(y)
    seeds, m, others = a.seeds, a.prompts, b.prompts
    vp = a.by_prompt + b.by_prompt
    below = a.by_prompt**2 / (m - 1) + b.by_prompt**2 / (others - 1)
    variance = vp
    if seeds >= RECIPE_SEEDS:
        vs = (x.mean(axis=-1) + y.mean(axis=-1)).var(axis=-1, ddof=1) / seeds
        variance = np.maximum(vp + vs - a.residual - b.residual, vp)
        left = a.residual**2 / (m - 1) + b.residual**2 / (others - 1)
        below = below + vs**2 / (seeds - 1) + left / (seeds - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(variance > 0, variance**2 / below, m - 1.0)
    return Corrected(a.mean + b.mean, variance, df, weight, bias, m + others, seeds, m)
