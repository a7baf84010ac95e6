"""Shares and mean differences with 95% intervals, where several answers belong to one prompt.

Answers about one prompt are not independent, so every variance is between prompts (the linearised, cluster-robust one).
A share's interval is Wilson's at the effective sample size (Korn and Graubard 1998, Survey Methodology 24, with their
correction for few clusters).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Groups = NDArray[np.int64]
"""The number of each row's prompt, from 0 on without a gap."""

FEWEST = 10
"""Answers, and prompts, below which nothing is estimated."""
Z = float(ndtri(0.975))


@dataclass(frozen=True)
class Estimate:
    """A number, its 95% interval, and over how many answers (or pairs) and prompts; `why` where there is none."""

    value: float | None
    interval: tuple[float, float] | None
    n: int
    prompts: int
    why: str = ""


def absent(why: str, n: int = 0, prompts: int = 0) -> Estimate:
    """What cannot be estimated, and why."""
    return Estimate(None, None, n, prompts, why)


def too_few(n: int, prompts: int, noun: str) -> Estimate | None:
    """An absent estimate if there is not enough to make one from."""
    if n >= FEWEST and prompts >= FEWEST:
        return None
    found = f"{n} {noun} of {prompts} prompts"
    return absent(f"too few to say: {found}, and {FEWEST} of {FEWEST} are the least", n, prompts)


def groups_of(prompt_ids: list[str]) -> Groups:
    """The prompts' numbers."""
    return np.unique(np.asarray(prompt_ids, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def share(hits: Floats, of: Floats, prompt_ids: list[str], noun: str) -> Estimate:
    """Which share of all `of` the `hits` are; both have one entry a row."""
    n, prompts = round(float(of.sum())), len(set(prompt_ids))
    if (few := too_few(n, prompts, noun)) is not None:
        return few
    p = float(hits.sum() / of.sum())
    variance = _variance(hits - p * of, of, groups_of(prompt_ids))
    # Where nothing varies, the rows of a prompt may all be one observation.
    effective = min(float(n), p * (1 - p) / variance) if variance > 0 else float(prompts)
    effective *= (Z / float(stdtrit(prompts - 1, 0.975))) ** 2
    low, high = proportion_confint(p * effective, effective, method="wilson")
    return Estimate(p, (min(float(low), p), max(float(high), p)), n, prompts)


def balanced_share(hits: Floats, of: Floats, prompt_ids: list[str], noun: str) -> Estimate:
    """The same where a pair's two answers are opposed by design, so that pairs vary less than answers would alone.

    Two pairs, one whose answers are both hits and one without any, are added before the error is taken (after Agresti
    and Coull 1998): without them a critic that was never seen to contradict itself would have no error at all.
    """
    n, prompts = round(float(of.sum())), len(set(prompt_ids))
    if (few := too_few(n, prompts, noun)) is not None:
        return few
    groups = np.concatenate([groups_of(prompt_ids), [prompts, prompts + 1]])
    more_hits, more_of = np.concatenate([hits, [2.0, 0.0]]), np.concatenate([of, [2.0, 2.0]])
    centre = float(more_hits.sum() / more_of.sum())
    half = _half_width(_variance(more_hits - centre * more_of, more_of, groups), prompts)
    return Estimate(float(hits.sum() / n), (max(0.0, centre - half), min(1.0, centre + half)), n, prompts)


def mean_difference(differences: Floats, prompt_ids: list[str], noun: str) -> Estimate:
    """The mean of paired differences, one a row."""
    n, prompts = len(differences), len(set(prompt_ids))
    if (few := too_few(n, prompts, noun)) is not None:
        return few
    mean = float(differences.mean())
    half = _half_width(_variance(differences - mean, np.ones(n), groups_of(prompt_ids)), prompts)
    found = Estimate(mean, (mean - half, mean + half), n, prompts)
    return found if half > 0 else replace(found, interval=None, why="no two pairs differ: there is no error to see")


def half_width(influence: Floats, prompt_ids: list[str]) -> float:
    """Half of the 95% interval of an estimate on which each row has this influence; they sum to zero."""
    ones = np.ones(len(influence))
    return _half_width(_variance(influence, ones, groups_of(prompt_ids)), len(set(prompt_ids)))


def _variance(residuals: Floats, weights: Floats, groups: Groups) -> float:
    """The variance of sum(values) / sum(weights) between prompts, from residuals that sum to zero."""
    by_prompt = np.bincount(groups, weights=residuals)
    count = len(by_prompt)
    return float(count / (count - 1) * np.square(by_prompt).sum() / np.square(weights.sum()))


def _half_width(variance: float, prompts: int) -> float:
    return float(stdtrit(prompts - 1, 0.975) * np.sqrt(variance))
