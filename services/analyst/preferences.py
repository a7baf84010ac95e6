"""AlpacaEval's conventions: from recorded preferences of 1 to 2 to a win rate and its standard error.

Li et al. 2023, AlpacaEval (tatsu-lab/alpaca_eval on GitHub, metrics/helpers.py, version 0.6.6): 1 says that the
reference's output (`output_1`) is better, 2 that the model's is, 1.5 (or 0, in older files) that neither is; what lies
between says how sure the annotator is (its `weighted_` ones). No usable answer is NaN, and left out.

    win rate = 100 mean(preference - 1);     standard error = 100 sd(preference) / sqrt(n), with n - 1 in the sd
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.analyst.scores import ArmScores

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WinRate:
    """In percent, with AlpacaEval's names. `discrete_win_rate` is that of the preferences rounded to 1, 1.5 or 2.

    NaN where there are too few: the win rate without any preference, the standard error with fewer than two.
    """

    win_rate: float
    standard_error: float
    discrete_win_rate: float
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int


def wins(preferences: Sequence[float | None] | Floats) -> Floats:
    """The model's wins in 0..1, a tie 0.5, NaN where there is no usable answer (None or NaN).

    Raises:
        ValueError: a preference that is neither 0 nor in 1..2.
    """
    given = np.array([np.nan if one is None else one for one in preferences], dtype=np.float64)
    tied = np.where(given == 0, 1.5, given)
    wrong = ~np.isnan(tied) & ~((tied >= 1) & (tied <= 2))
    if wrong.any():
        raise ValueError(f"preference: give 1 to 2, or 0 for a tie, not {given[wrong][0]:g}")
    return tied - 1


def win_rate(preferences: Sequence[float | None] | Floats) -> WinRate:
    """The win rate of recorded preferences.

    Raises:
        ValueError: see `wins`.
    """
    scores = wins(preferences)
    scores = scores[~np.isnan(scores)]
    n = len(scores)
    won, lost = int((scores > 0.5).sum()), int((scores < 0.5).sum())
    return WinRate(
        win_rate=float(scores.mean() * 100) if n else np.nan,
        standard_error=float(scores.std(ddof=1) / np.sqrt(n) * 100) if n > 1 else np.nan,
        discrete_win_rate=100 * (won + (n - won - lost) / 2) / n if n else np.nan,
        n_wins=won,
        n_wins_base=lost,
        n_draws=n - won - lost,
        n_total=n,
    )


def by_seed(scores: ArmScores) -> dict[int, WinRate]:
    """What AlpacaEval would say of each seed's model: over all of its usable answers, whatever other seeds have."""
    return {seed: win_rate(1 + row / 100) for seed, row in zip(scores.seeds, scores.values, strict=True)}
