"""The judgements of pairs of arms as one array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.analyst.intervals import Floats
from services.analyst.scores import ArmScores

Pair = tuple[str, str]


@dataclass(frozen=True)
class Battles:
    """Shares of wins [pairs, seeds, prompts], of each pair's first arm: 0 to 1, a tie .5, NaN where none counts.

    A pair counts on a prompt if it was judged there, and validly in all seeds; only prompts are here on which one does.
    `sides` [pairs, 2] are the arms' places in `arms`. `total` prompts were judged; `dropped` is, for each arm, on how
    many of them a pair of it was judged and does not count.
    """

    arms: tuple[str, ...]
    sides: NDArray[np.intp]
    seeds: tuple[int, ...]
    prompt_ids: NDArray[np.str_]
    shares: Floats
    total: int
    dropped: tuple[int, ...]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[pairs, prompts]"""
        return np.asarray(~np.isnan(self.shares[:, 0, :]))

    def prompts_of(self, arm: int) -> int:
        """On how many prompts a pair of this arm counts."""
        return int(self.counted[(self.sides == arm).any(axis=1)].any(axis=0).sum())

    @property
    def design(self) -> Floats:
        """[pairs, arms]: 1 for a pair's first arm, -1 for its second."""
        rows = np.arange(len(self.sides))
        design = np.zeros((len(self.sides), len(self.arms)))
        design[rows, self.sides[:, 0]] = 1.0
        design[rows, self.sides[:, 1]] = -1.0
        return design


def assemble_battles(arms: tuple[str, ...], pairs: Mapping[Pair, ArmScores]) -> Battles:
    """All pairs on the prompts of any of them; those without a judgement that counts are left out.

    `pairs` has the first arm's scores, 0 to 100.

    Raises:
        ValueError: the pairs have not the same seeds, or there is none.
    """
    seeds = {scores.seeds for scores in pairs.values()}
    if len(seeds) != 1:
        raise ValueError(f"an arena's pairs have the seeds {sorted(seeds)}, and all need the same")
    ids = np.unique(np.concatenate([scores.prompt_ids for scores in pairs.values()]))
    shares = np.full((len(pairs), len(next(iter(seeds))), len(ids)), np.nan)
    asked = np.zeros((len(pairs), len(ids)), dtype=bool)
    for row, scores in enumerate(pairs.values()):
        at = np.searchsorted(ids, scores.prompt_ids)
        asked[row, at] = True
        shares[row][:, at] = np.where(scores.valid, scores.values / 100, np.nan)
    kept = ~np.isnan(shares).all(axis=(0, 1))
    places = {arm: place for place, arm in enumerate(arms)}
    sides = np.array([[places[a], places[b]] for a, b in pairs], dtype=np.intp)
    lost = asked & np.isnan(shares[:, 0, :])
    dropped = tuple(int(lost[(sides == place).any(axis=1)].any(axis=0).sum()) for place in range(len(arms)))
    return Battles(arms, sides, next(iter(seeds)), ids[kept], shares[..., kept], len(ids), dropped)
