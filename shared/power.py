"""How wide an interval will be, and what it can see: for the dry run before, and for the report after.

D[s,i] is the difference between two arms in seed s on prompt i, with crossed random effects of prompts, of seeds, and
what is left. With variances p, q and e of one D, n prompts and S seeds the mean's variance has the parts
vp = p/n + e/(Sn), vs = q/S + e/(Sn) and r = e/(Sn), from which design.md's V and its degrees of freedom follow
(Satterthwaite 1946). With S < 3 nothing is known of seeds: V = vp, df = n - 1.

Standard library alone: the API's image has no numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

RECIPE_SEEDS = 3
"""From so many seeds on, the variance between seeds is estimated and the interval speaks of the recipe."""
SEEN = 0.8
"""The share of experiments in which a difference must be seen to count as one that can be."""
SHARE = 0.7
"""A half-width of 0.7 delta leaves room to decide, for true differences that are not close to delta."""
MOST_PROMPTS = 1_000_000
PANELS = 128
"""Of Simpson's rule."""
_normal = NormalDist()
Widths = list[tuple[float, float]]
"""Probabilities and half-widths."""


@dataclass(frozen=True)
class Components:
    """Variances of one judgement's difference, in squared points: between prompts, between seeds, and what is left.

    `recipe` is False where seeds are not known to vary; `seed` and `residual` are 0 then.
    """

    prompt: float
    seed: float
    residual: float
    recipe: bool

    def half_width(self, prompts: int, seeds: int, alpha: float = 0.05) -> float:
        """The half-width, in points, of an experiment whose measured variances are these."""
        r, vp, vs = self._parts(prompts, seeds)
        return _half_width(vp, vs, r, prompts, seeds, alpha)

    def expected_half_width(self, prompts: int, seeds: int, alpha: float = 0.05) -> float:
        """The mean half-width, in points, over experiments whose true variances are these."""
        return sum(weight * h for weight, h in self._half_widths(prompts, seeds, alpha))

    def power(self, distance: float, prompts: int, seeds: int, alpha: float = 0.05) -> float:
        """The chance that the interval leaves out, on the right side, what lies `distance` points from the truth."""
        return self._seen(distance, prompts, seeds, self._half_widths(prompts, seeds, alpha))

    def smallest_seen(self, prompts: int, seeds: int, alpha: float = 0.05, share: float = SEEN) -> float:
        """The smallest such distance, in points, that is seen in a `share` of experiments."""
        widths = self._half_widths(prompts, seeds, alpha)
        low, high = 0.0, max(h for _, h in widths) + 6 * self._error(prompts, seeds)
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (low, middle) if self._seen(middle, prompts, seeds, widths) >= share else (middle, high)
        return high

    def fewest_prompts(self, seeds: int, target: float, alpha: float, low: int, high: int) -> int | None:
        """The smallest n in (low, high] whose half-width is `target` or less; None where `high` is not enough."""
        if self.half_width(high, seeds, alpha) > target:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.half_width(middle, seeds, alpha) <= target else (middle, high)
        return high

    def _seen(self, distance: float, prompts: int, seeds: int, widths: Widths) -> float:
        error = self._error(prompts, seeds)
        if error == 0:
            return 1.0 if distance > 0 else 0.0
        return sum(weight * _normal.cdf((distance - h) / error) for weight, h in widths)

    def _parts(self, prompts: int, seeds: int) -> tuple[float, float, float]:
        """r, vp and vs, as the module says; r and vs are 0 where nothing is known of seeds."""
        r = self.residual / (seeds * prompts)
        vp = self.prompt / prompts + r
        if not self.recipe or seeds < RECIPE_SEEDS:
            return 0.0, vp, 0.0
        return r, vp, self.seed / seeds + r

    def _error(self, prompts: int, seeds: int) -> float:
        """The true standard error of the mean."""
        r, vp, vs = self._parts(prompts, seeds)
        return math.sqrt(max(vp + vs - r, vp))

    def _half_widths(self, prompts: int, seeds: int, alpha: float) -> Widths:
        """The half-widths that experiments will measure, with their probabilities.

        What varies most between experiments is the variance over whichever are fewer: S - 1 degrees of freedom of
        seeds, else n - 1 of prompts; it is chi-square, the others are taken as they are.
        """
        r, vp, vs = self._parts(prompts, seeds)
        of_seeds = vs > 0
        return [
            (weight, _half_width(vp if of_seeds else vp * share, vs * share, r, prompts, seeds, alpha))
            for weight, share in _chi_square_shares(seeds - 1 if of_seeds else prompts - 1)
        ]


def _half_width(vp: float, vs: float, r: float, prompts: int, seeds: int, alpha: float) -> float:
    """t sqrt(V), as design.md has V and df; with vs of 0 the interval over prompts."""
    v = max(vp + vs - r, vp)
    df = prompts - 1.0
    if vs > 0:
        df = v**2 / (vp**2 / (prompts - 1) + vs**2 / (seeds - 1) + r**2 / ((prompts - 1) * (seeds - 1)))
    return t_quantile(1 - alpha / 2, round(df, 6)) * math.sqrt(v)


@lru_cache(maxsize=256)
def _chi_square_shares(df: int) -> Widths:
    """chi^2(df)/df as a list of (probability, value): Simpson's rule over its root."""
    spread = 8 / math.sqrt(2 * df)
    low, high = max(1e-9, 1 - spread), 1 + spread
    log_scale = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    step = (high - low) / PANELS
    found = []
    for place in range(PANELS + 1):
        s = low + place * step
        density = math.exp(log_scale + (df - 1) * math.log(s) - df * s * s / 2)
        found.append((density * step / 3 * (1 if place in (0, PANELS) else 4 if place % 2 else 2), s * s))
    total = sum(weight for weight, _ in found)
    return [(weight / total, value) for weight, value in found]


@lru_cache(maxsize=4096)
def t_quantile(share: float, df: float) -> float:
    """Student's t with `df` degrees of freedom, not necessarily whole: the value that a `share` (above .5) lies below.

    Newton's method from the normal quantile: the distribution function is concave above 0, so that every step stays
    below the answer.

    Raises:
        ValueError: `share` is not between .5 and 1.
    """
    if not 0.5 < share < 1:
        raise ValueError(f"a share between .5 and 1, not {share}")
    t = _normal.inv_cdf(share)
    for _ in range(200):
        step = (share - t_below(t, df)) / _density(t, df)
        t += step
        if abs(step) < 1e-10 * t:
            break
    return t


def t_below(t: float, df: float) -> float:
    """The share of Student's t below `t` >= 0: 1/2 + c * integral of cos(a)^(df-1) from 0 to atan(t/sqrt(df))."""
    step = math.atan(t / math.sqrt(df)) / PANELS
    heights: list[float] = [math.cos(place * step) ** (df - 1) for place in range(PANELS + 1)]
    area = step / 3 * (heights[0] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2]) + heights[-1])
    return 0.5 + math.exp(_log_c(df)) * area


def _density(t: float, df: float) -> float:
    return math.exp(_log_c(df) - 0.5 * math.log(df) - (df + 1) / 2 * math.log1p(t * t / df))


def _log_c(df: float) -> float:
    return math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(math.pi)
