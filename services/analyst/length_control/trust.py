"""What makes a length-controlled figure not to be trusted, in words that name the arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.analyst.length_control import joint
from services.analyst.length_control.table import Floats, LengthTable

LEAST_OUTCOMES = 10.0
"""Wins, and losses, that an arm needs (Peduzzi et al. 1996: ten outcomes of the rarer kind a coefficient)."""
LEAST_OVERLAP = 0.05
"""The share of an arm's completions that must be no longer than the reference's, and the share no shorter."""
LEAST_PROMPTS = 30
MOST_UNCONVERGED = 0.02
FAR = 10.0
FAR_SHARE = 0.25

Code = Literal[
    "not_judged",
    "not_converged",
    "resamples_not_converged",
    "separation",
    "few_decided",
    "no_overlap",
    "few_prompts",
    "strength_at_bound",
    "one_arm",
    "equal_lengths",
    "one_slope",
    "no_difficulty",
    "large_change",
]


@dataclass(frozen=True)
class Concern:
    """`arm` is None where it concerns all. One that is not `serious` is for information: figures stand."""

    code: Code
    text: str
    arm: str | None = None
    serious: bool = True


def of_data(table: LengthTable) -> list[Concern]:
    """Concerns that any method has: what the judgements and lengths cannot say."""
    found = []
    prompts = int(table.judged.any(axis=(0, 1)).sum())
    if prompts < LEAST_PROMPTS:
        found.append(Concern("few_prompts", f"{prompts} prompts are too few for a bootstrap over prompts"))
    if table.scale == 0:
        text = "completions are all as much longer than the reference's: there is no length effect to take out"
        found.append(Concern("equal_lengths", text, serious=False))
    for name, wins, judged, difference in zip(
        table.arms, table.preferences, table.judged, table.differences, strict=True
    ):
        if not judged.any(axis=-1).all():
            found.append(Concern("not_judged", f"{name} has no judgement", name))
            continue
        found += _of_arm(name, wins[judged], difference[judged], table.scale > 0)
    return found


def _of_arm(name: str, wins: Floats, difference: Floats, lengths_differ: bool) -> list[Concern]:
    found = []
    won, lost = float(wins.sum()), float((1 - wins).sum())
    if min(won, lost) == 0:
        every = "lost" if won == 0 else "won"
        found.append(Concern("separation", f"{name} {every} every time: its log-odds have no limit", name))
    elif min(won, lost, float((wins != 0.5).sum()) / 2) < LEAST_OUTCOMES:
        decided = int((wins != 0.5).sum())
        text = f"{name} has {won:g} wins and {lost:g} losses, {decided} decided: too few to tell a length effect"
        found.append(Concern("few_decided", text, name))
    longer, shorter = float((difference >= 0).mean()), float((difference <= 0).mean())
    if lengths_differ and min(longer, shorter) < LEAST_OVERLAP:
        side = "shorter" if longer < shorter else "longer"
        share = 100 * max(longer, shorter)
        text = f"{share:.0f}% of {name}'s completions are {side} than the reference's: equal length is an extrapolation"
        found.append(Concern("no_overlap", text, name))
    return found


def of_joint(table: LengthTable, fits: joint.Fits) -> list[Concern]:
    """Concerns about the joint fit of the whole table."""
    found = []
    if not fits.converged[0]:
        found.append(Concern("not_converged", "the joint fit did not converge"))
    infinite = np.abs(fits.slopes[0]) >= joint.STEEPEST
    infinite |= (np.abs(fits.intercepts[0]) >= joint.STEEPEST).any(axis=-1)
    found += [
        Concern("separation", f"length or prompt separates {name}'s wins from its losses: the fit has no limit", name)
        for name, so, judged in zip(table.arms, infinite, table.preferences, strict=True)
        if so and 0 < np.nanmean(judged) < 1
    ]
    sigma, tau = float(fits.sigma[0]), float(fits.tau[0])
    if max(sigma, tau) >= joint.MOST:
        which = "prompts' difficulties" if sigma >= joint.MOST else "length slopes"
        found.append(Concern("strength_at_bound", f"{which} are not shrunk at all: their spread has no limit"))
    if len(table.arms) == 1:
        found.append(Concern("one_arm", "one arm alone: there is nothing to shrink its slope to", serious=False))
    elif tau <= joint.LEAST and table.scale > 0:
        text = "length slopes differ by no more than chance: all arms have one"
        found.append(Concern("one_slope", text, serious=False))
    if sigma <= joint.LEAST:
        text = "prompts' difficulties cannot be told from chance: none is taken"
        found.append(Concern("no_difficulty", text, serious=False))
    return found


def of_resamples(converged: NDArray[np.bool_]) -> list[Concern]:
    """A concern where many refits did not converge; their figures are used as they are."""
    share = 1 - float(converged.mean())
    if share == 0:
        return []
    text = f"{100 * share:.1f}% of the resamples' fits did not converge"
    return [Concern("resamples_not_converged", text, serious=share > MOST_UNCONVERGED)]


def of_change(name: str, raw: float, controlled: float) -> list[Concern]:
    """alpaca_eval's own limit: more than 10 points and a quarter of the way to the end of the scale."""
    low = min(raw - FAR, raw * (1 - FAR_SHARE))
    high = max(raw + FAR, raw + (100 - raw) * FAR_SHARE)
    if low <= controlled <= high:
        return []
    text = f"{name}: control moves its win rate from {raw:.1f} to {controlled:.1f}, so far that alpaca_eval would warn"
    return [Concern("large_change", text, name, serious=False)]
