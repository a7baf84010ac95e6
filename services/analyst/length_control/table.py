"""What length control starts from: preferences against one reference, with the lengths of both completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
ROUNDING = 1e-9
"""A spread of lengths that is such a share of them is none."""


@dataclass(frozen=True)
class LengthTable:
    """Arms that share prompts, reference and judge.

    `preferences` [arms, seeds, prompts] are the arm's wins in 0..1 (0.5 a tie, any value between for a judge that says
    how sure it is; both orders averaged), NaN where there is none. `lengths` [arms, seeds, prompts] and
    `reference_lengths` [prompts] are in one unit, characters as in AlpacaEval or tokens; they may be NaN only where the
    preference is.
    """

    arms: tuple[str, ...]
    preferences: Floats
    lengths: Floats
    reference_lengths: Floats

    @classmethod
    def of(
        cls, arms: Sequence[str], preferences: ArrayLike, lengths: ArrayLike, reference_lengths: ArrayLike
    ) -> LengthTable:
        """Check and keep. Tables without seeds, [arms, prompts], have one.

        Raises:
            ValueError: shapes that do not fit, arms of the same name, a preference outside 0..1, a judged completion
                without a length, a negative length, or fewer than two prompts.
        """
        wins, long = (np.asarray(values, dtype=np.float64) for values in (preferences, lengths))
        if wins.ndim == 2:
            wins, long = wins[:, None, :], long[:, None, :] if long.ndim == 2 else long
        reference = np.asarray(reference_lengths, dtype=np.float64)
        if wins.ndim != 3 or wins.shape != long.shape or reference.shape != wins.shape[-1:]:
            raise ValueError(
                f"preferences {wins.shape}, lengths {long.shape} and reference_lengths {reference.shape} do not fit: "
                "give [arms, seeds, prompts] twice, and [prompts]"
            )
        if len(arms) != len(wins) or len(set(arms)) != len(arms):
            raise ValueError(f"arms: {len(wins)} different names are needed, not {list(arms)}")
        if wins.shape[-1] < 2:
            raise ValueError(f"length control needs at least 2 prompts, not {wins.shape[-1]}")
        judged = ~np.isnan(wins)
        if ((wins[judged] < 0) | (wins[judged] > 1)).any():
            raise ValueError("preferences: give them in 0..1; alpaca_eval's 1..2 go through preferences.wins first")
        known = np.isfinite(long) & np.isfinite(reference)
        if (judged & ~known).any():
            raise ValueError("lengths: a judged completion or its reference has none")
        if (long < 0).any() or (reference < 0).any():
            raise ValueError("lengths: none can be below zero")
        return cls(tuple(arms), wins, long, reference)

    @property
    def seeds(self) -> int:
        return int(self.preferences.shape[1])

    @property
    def prompts(self) -> int:
        return int(self.preferences.shape[2])

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Where there is a preference."""
        return ~np.isnan(self.preferences)

    @property
    def shares_prompts(self) -> bool:
        """Whether some prompt was judged more than once: from one judgement its difficulty cannot be told."""
        return bool((self.judged.sum(axis=(0, 1)) > 1).any())

    @property
    def differences(self) -> Floats:
        """By how much a completion is longer than the reference; 0 where it was not judged."""
        return np.where(self.judged, self.lengths - self.reference_lengths, 0.0)

    @property
    def scale(self) -> float:
        """The standard deviation of all judged length differences, pooled over arms and seeds; 0 if they are equal."""
        pooled = self.differences[self.judged]
        scale = float(np.std(pooled, ddof=1)) if len(pooled) > 1 else 0.0
        return scale if scale > ROUNDING * np.abs(pooled).max(initial=0.0) else 0.0

    @property
    def covariate(self) -> Floats:
        """tanh((length - reference's) / scale), as Dubois et al. 2024 (arXiv 2404.04475) have it, on the pooled scale.

        The tanh bounds what one very long completion can do. One scale for all arms, where alpaca_eval takes each
        model's own: the same number of characters then means the same for every arm, and slopes can be compared.
        """
        return np.tanh(self.differences / self.scale) if self.scale > 0 else np.zeros_like(self.differences)

    @property
    def raw(self) -> Floats:
        """Win rates [arms, seeds] in percent; NaN for a checkpoint that was not judged at all."""
        count = self.judged.sum(axis=-1)
        total = np.where(self.judged, self.preferences, 0.0).sum(axis=-1)
        return np.where(count > 0, 100 * total / np.maximum(count, 1), np.nan)

    @property
    def mean_lengths(self) -> Floats:
        """Mean length of each arm's judged completions; NaN for an arm that was not judged."""
        judged = self.judged
        count = judged.sum(axis=(1, 2))
        total = np.where(judged, self.lengths, 0.0).sum(axis=(1, 2))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
