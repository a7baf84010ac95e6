"""How many prompts and seeds would decide: the size at which the half-width falls to a share of delta."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from services.analyst.intervals import Crossed
from shared.power import MOST_PROMPTS, RECIPE_SEEDS, SHARE, Components

MOST_SEEDS = 200
RUN_IN_JUDGEMENTS = 1_000
"""One more seed trains every arm again: taken to cost as much as so many more prompts."""


@dataclass(frozen=True)
class Needed:
    """What would bring the half-width to `target`.

    `prompts`: this many, with as many seeds as now; `seeds`: this many, with as many prompts as now; `both`: (prompts,
    seeds), the cheapest mixture where neither alone can. None where it cannot be had that way; `seeds_known` is False
    where there are too few seeds to know how much they vary.
    """

    target: float
    prompts: int | None
    seeds: int | None
    both: tuple[int, int] | None
    seeds_known: bool


def components(error: Crossed) -> Components:
    """Moment estimates of the variances behind a measured error, none below zero."""
    n, seeds = error.prompts, error.seeds
    vp, vs, r = float(error.by_prompt), float(error.by_seed), float(error.residual)
    if seeds < RECIPE_SEEDS:
        return Components(vp * n, 0.0, 0.0, recipe=False)
    return Components(max(vp - r, 0.0) * n, max(vs - r, 0.0) * seeds, r * seeds * n, recipe=True)


def needed(error: Crossed, delta: float, alpha: float = 0.05) -> Needed | None:
    """What would bring the half-width to 0.7 |delta|; None for a delta of zero, which no half-width reaches."""
    target = SHARE * abs(delta)
    if target == 0 or float(error.half_width(alpha)) <= target:
        return None
    parts = components(error)
    prompts = parts.fewest_prompts(error.seeds, target, alpha, error.prompts, MOST_PROMPTS)
    if not parts.recipe:
        return Needed(target, prompts, None, None, seeds_known=False)
    seeds = next(
        (s for s in range(error.seeds + 1, MOST_SEEDS + 1) if parts.half_width(error.prompts, s, alpha) <= target), None
    )
    both = _mixture(parts, error, target, alpha) if prompts is None and seeds is None else None
    return Needed(target, prompts, seeds, both, seeds_known=True)


def _mixture(parts: Components, error: Crossed, target: float, alpha: float) -> tuple[int, int] | None:
    """(prompts, seeds) that cost least, among numbers of seeds a fifth apart."""
    ladder = sorted({round(error.seeds * 1.2**step) for step in range(40)} | {error.seeds})
    choices = []
    for seeds in (s for _, s in pairwise(ladder) if s <= MOST_SEEDS):
        n = parts.fewest_prompts(seeds, target, alpha, error.prompts, MOST_PROMPTS)
        if n is not None:
            choices.append((n, seeds))
    return min(choices, key=lambda size: (size[0] + RUN_IN_JUDGEMENTS) * size[1], default=None)
