"""Bootstrap over prompts: a check of the t interval that assumes nothing of the scores' distribution.

Prompts are drawn with replacement, n of n, and every column (an arm, a difference) is averaged over the same draw, so
that what columns share stays paired. A draw is a row of multinomial counts, and all means are one matrix product:

    m[b] = (1/n) sum_i c[b,i] x[i],   c[b] ~ Multinomial(n; 1/n, ..., 1/n)            (Efron and Tibshirani 1993, ch. 6)

Seeds are not drawn again: three to five of them are too few for a bootstrap, whose variance of a mean over S seeds is
(S-1)/S of the true one. What is checked is the part of the error that comes from prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from services.analyst.intervals import Floats, half_width

RESAMPLES = 10_000
BLOCK = 2**20
"""Counts that are held at once: 4 MB of them, and 28 MB while they are drawn."""


@dataclass(frozen=True)
class Checked:
    """A mean's interval over prompts three ways, seeds as they are; each misses in a share `alpha`.

    `t` is the one that the contract's variance gives without its part from seeds (vp, n - 1 degrees of freedom).
    """

    resamples: int
    alpha: float
    percentile: tuple[float, float]
    bca: tuple[float, float]
    t: tuple[float, float]

    @property
    def apart(self) -> float:
        """The largest distance of an end of `bca` from that of `t`, as a share of `t`'s half-width."""
        gap = max(abs(one - other) for one, other in zip(self.bca, self.t, strict=True))
        half = (self.t[1] - self.t[0]) / 2
        return gap / half if half > 0 else 0.0


def check(table: NDArray[Any], alpha: float = 0.05, resamples: int = RESAMPLES, seed: int = 0) -> Checked:
    """Intervals of the mean of `table` [seeds, prompts] by bootstrap, beside the t interval over prompts.

    Raises:
        ValueError: fewer than two prompts.
    """
    by_prompt = table.mean(axis=0, dtype=np.float64)
    n = len(by_prompt)
    if n < 2:
        raise ValueError(f"a bootstrap needs at least 2 prompts, not {n}")
    means = resampled_means(by_prompt[:, None], resamples, seed)
    h = float(half_width(by_prompt.var(ddof=1) / n, np.array(n - 1.0), alpha))
    centre = float(by_prompt.mean())
    return Checked(
        resamples=resamples,
        alpha=alpha,
        percentile=_pair(percentile(means, alpha)),
        bca=_pair(bca(by_prompt[:, None], means, alpha)),
        t=(centre - h, centre + h),
    )


def resampled_means(values: NDArray[Any], resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The means [resamples, columns] of `values` [prompts, columns] over draws of prompts with replacement.

    Memory is bounded by `BLOCK` counts and the result. The product is in single precision on centred columns, which
    costs a mean less than 1e-6 of its column's range.
    """
    n = len(values)
    centre = values.mean(axis=0, dtype=np.float64)
    centred = (values - centre).astype(np.float32)
    means = np.empty((resamples, values.shape[1]))
    start = 0
    for counts in draws(n, resamples, np.random.default_rng(seed)):
        means[start : start + len(counts)] = counts @ centred
        start += len(counts)
    means /= n
    means += centre
    return means


def draws(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Blocks of multinomial counts [rows, n]: how often each of n prompts is in each draw of n."""
    rows = max(1, BLOCK // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, n, (size, n), dtype=np.int32)
        drawn += np.arange(0, size * n, n, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).astype(np.float32).reshape(size, n)


def percentile(means: Floats, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """The alpha/2 and 1 - alpha/2 quantiles of the resampled means, for each column."""
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2], axis=0)
    return low, high


def bca(values: NDArray[Any], means: Floats, alpha: float = 0.05) -> tuple[Floats, Floats]:
    """Bias-corrected and accelerated intervals (Efron 1987) of the means of `values` [prompts, columns].

    z0 = Phi^-1(share of means below the estimate, ties half);  a = sum(e^3) / (6 sum(e^2)^1.5), e the distances from
    the estimate (for a mean the jackknife's acceleration); the ends are the quantiles at
    Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z = Phi^-1(alpha/2) and Phi^-1(1 - alpha/2).
    """
    estimate = values.mean(axis=0, dtype=np.float64)
    errors = values - estimate
    squares = np.square(errors).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a = np.where(squares > 0, (errors**3).sum(axis=0) / (6 * squares**1.5), 0.0)
    # Means of few distinct scores tie with the estimate; rounding must not put them on a side.
    close = 1e-9 + 1e-6 * np.ptp(values, axis=0)
    below = (means < estimate - close).mean(axis=0) + (np.abs(means - estimate) <= close).mean(axis=0) / 2
    least = 0.5 / len(means)
    z0 = ndtri(np.clip(below, least, 1 - least))
    ends = []
    for z in (ndtri(alpha / 2), ndtri(1 - alpha / 2)):
        level = ndtr(z0 + (z0 + z) / (1 - a * (z0 + z)))
        ends.append(np.array([np.quantile(means[:, column], level[column]) for column in range(means.shape[1])]))
    return ends[0], ends[1]


def _pair(bounds: tuple[Floats, Floats]) -> tuple[float, float]:
    return float(bounds[0][0]), float(bounds[1][0])
