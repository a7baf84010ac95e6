"""Arenas whose true ratings are known: arms of given strengths, that differ by prompt and by seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import expit

from services.analyst.arena.battles import Battles, assemble_battles
from services.analyst.arena.bradley_terry import fit
from services.analyst.arena.ratings import BASE, SCALE
from services.analyst.intervals import Floats
from services.analyst.scores import ArmScores


@dataclass(frozen=True)
class World:
    """`by_prompt` and `by_seed` are SDs, in log-odds, of an arm's strength between prompts and between its trainings;
    `tied` is the share of verdicts that are ties. With `per_prompt` a prompt has so many pairs, not all."""

    strengths: tuple[float, ...] = (-0.8, -0.2, 0.0, 0.3, 0.9)
    prompts: int = 150
    seeds: int = 1
    by_prompt: float = 1.0
    by_seed: float = 0.0
    tied: float = 0.1
    per_prompt: int | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(f"arm-{place}" for place in range(len(self.strengths)))

    def truth(self) -> Floats:
        """The ratings that endless prompts and trainings would give."""
        rng = np.random.default_rng(1)
        count = len(self.strengths)
        own = np.asarray(self.strengths) + rng.normal(0, np.hypot(self.by_prompt, self.by_seed), (400_000, count))
        pairs = list(combinations(range(count), 2))
        shares = np.array([expit(own[:, a] - own[:, b]).mean() for a, b in pairs]) * (1 - self.tied) + self.tied / 2
        games = np.full(len(pairs), 1e9)
        return BASE + SCALE * fit(self.design(), shares * games, games).strengths

    def design(self) -> Floats:
        return battles_of(self.arms, {pair: np.full((1, 2), 50.0) for pair in combinations(self.arms, 2)}).design

    def draw(self, rng: np.random.Generator) -> Battles:
        """One experiment: every comparison in both orders, averaged."""
        count = len(self.strengths)
        own = (
            np.asarray(self.strengths)[:, None, None]
            + rng.normal(0, self.by_prompt, (count, 1, self.prompts))
            + rng.normal(0, self.by_seed, (count, self.seeds, 1))
        )
        pairs = list(combinations(range(count), 2))
        drawn = np.ones((len(pairs), self.prompts), dtype=bool)
        if self.per_prompt is not None:
            ranks = rng.random((len(pairs), self.prompts)).argsort(axis=0)
            drawn = ranks < self.per_prompt
        scores = {}
        for place, (a, b) in enumerate(pairs):
            p = expit(own[a] - own[b])
            both = [np.where(rng.random(p.shape) < self.tied, 0.5, rng.random(p.shape) < p) for _ in range(2)]
            table = 50.0 * (both[0] + both[1])
            table[:, ~drawn[place]] = np.nan
            scores[self.arms[a], self.arms[b]] = table
        return battles_of(self.arms, scores)


def battles_of(arms: tuple[str, ...], scores: dict[tuple[str, str], Floats]) -> Battles:
    """Battles from each pair's scores [seeds, prompts] of its first arm, 0 to 100; NaN is a pair that was not drawn."""
    return assemble_battles(arms, {pair: pair_scores(pair, table) for pair, table in scores.items()})


def pair_scores(pair: tuple[str, str], table: Floats) -> ArmScores:
    there = ~np.isnan(table).all(axis=0)
    ids = np.array([f"p{place:05}" for place in np.flatnonzero(there)], dtype=np.str_)
    return ArmScores(" against ".join(pair), "arena", tuple(range(len(table))), ids, table[:, there])
