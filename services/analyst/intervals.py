"""Intervals for a mean over crossed random effects: seeds and prompts.

Every seed is judged on the same prompts, so a table of scores has two sources of error that more of the other cannot
average away. The variance is the two-way random-effects one (Searle, Casella and McCulloch 1992, Variance Components,
ch. 4), its degrees of freedom Satterthwaite's (1946).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from shared.power import RECIPE_SEEDS

Floats = NDArray[np.float64]


class Interval(Protocol):
    """What a method of inference answers for one mean, or for a batch of them.

    Another method (a bootstrap, a corrected one) is another function `table -> Interval`; see `Method`.
    """

    @property
    def mean(self) -> Floats: ...

    @property
    def standard_error(self) -> Floats: ...

    @property
    def prompts(self) -> int: ...

    @property
    def seeds(self) -> int: ...

    def bounds(self, alpha: float = 0.05) -> tuple[Floats, Floats]: ...

    def p_value(self) -> Floats: ...


@dataclass(frozen=True)
class Crossed:
    """The mean of a table of seeds x prompts and its error; every array has the batch's shape.

    `by_prompt` (vp) and `by_seed` (vs) are the variances of the mean as seen over prompts and over seeds; `residual`
    (r) is the part that both contain. With fewer than three seeds the last two are zero: the error is over prompts.
    """

    mean: Floats
    by_prompt: Floats
    by_seed: Floats
    residual: Floats
    variance: Floats
    df: Floats
    prompts: int
    seeds: int

    @property
    def standard_error(self) -> Floats:
        return np.asarray(np.sqrt(self.variance))

    def half_width(self, alpha: float = 0.05) -> Floats:
        """Half the width of the interval that misses the truth in a share `alpha` of experiments."""
        return half_width(self.variance, self.df, alpha)

    def bounds(self, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Both ends of that interval."""
        h = self.half_width(alpha)
        return self.mean - h, self.mean + h

    def p_value(self) -> Floats:
        """Two-sided p of a true mean of zero, from the t distribution of the interval."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.mean) / self.standard_error
        return np.asarray(np.where(self.mean == 0, 1.0, 2 * stdtr(self.df, -t)))


Method = Callable[[Floats], Interval]
"""From scores or differences [..., seeds, prompts] to the interval of their mean."""


def crossed(table: NDArray[Any]) -> Crossed:
    """The interval of the mean of `table` [..., seeds, prompts], over all leading dimensions at once.

    D[s,i], its mean d, Ds and Di its means by seed and by prompt:
    vp = var(Di)/n;  vs = var(Ds)/S;  r = sum((D - Ds - Di + d)^2) / ((S-1)(n-1) S n);
    V = max(vp + vs - r, vp); with S < 3: V = vp, df = n - 1.

    Raises:
        ValueError: no seeds, or fewer than two prompts: nothing can be said about the error then.
    """
    seeds, prompts = table.shape[-2:]
    if seeds < 1 or prompts < 2:
        raise ValueError(f"an interval needs at least 1 seed and 2 prompts, not {seeds} and {prompts}")
    by_prompt = table.mean(axis=-2, dtype=np.float64)
    mean = by_prompt.mean(axis=-1)
    prompt_effects = by_prompt - mean[..., None]
    vp = np.square(prompt_effects).sum(axis=-1) / (prompts - 1) / prompts
    if seeds < RECIPE_SEEDS:
        zero = np.zeros_like(vp)
        return Crossed(mean, vp, zero, zero, vp, np.full_like(vp, prompts - 1), prompts, seeds)
    seed_effects = table.mean(axis=-1, dtype=np.float64) - mean[..., None]
    vs = np.square(seed_effects).sum(axis=-1) / (seeds - 1) / seeds
    rest = table - seed_effects[..., None] - by_prompt[..., None, :]
    r = np.square(rest).sum(axis=(-2, -1)) / ((seeds - 1) * (prompts - 1) * seeds * prompts)
    variance = np.maximum(vp + vs - r, vp)
    return Crossed(mean, vp, vs, r, variance, satterthwaite(vp, vs, r, prompts, seeds), prompts, seeds)


def satterthwaite(vp: Floats, vs: Floats, r: Floats, prompts: float, seeds: float) -> Floats:
    """Degrees of freedom of V = max(vp + vs - r, vp); n - 1 where nothing varies at all."""
    variance = np.maximum(vp + vs - r, vp)
    below = vp**2 / (prompts - 1) + vs**2 / (seeds - 1) + r**2 / ((prompts - 1) * (seeds - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        df = variance**2 / below
    return np.asarray(np.where(variance > 0, df, prompts - 1.0))


def half_width(variance: Floats, df: Floats, alpha: float) -> Floats:
    """t(1 - alpha/2, df) times the standard error."""
    return np.asarray(stdtrit(df, 1 - alpha / 2) * np.sqrt(variance))
