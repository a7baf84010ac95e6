"""Ratings on the Elo scale with intervals: a bootstrap over prompts with refit, and the part that seeds add.

R[a] = 1000 + 400 / ln(10) t[a], t the strengths of a Bradley-Terry model over all seeds' comparisons together, their
mean 0. A prompt is drawn with all its comparisons, of all pairs and seeds (Efron and Tibshirani 1993): that keeps
whatever makes them alike. Of a weighted sum w of ratings, with v the variance over resamples, S seeds and n prompts,

    vp = v n / (n - 1);  vs and r by the contract's formulas from D[s,i];  V = max(vp + vs - r, vp)

(services/analyst/intervals.py; V = vp with S < 3), where D[s,i] is the estimate plus the influence of prompt i in
seed s: S n c w' H^-1 u[s,i], with u the score that the prompt's comparisons add and H the information of all. Its mean
is the estimate, and its variance over prompts is what the bootstrap finds to first order (infinitesimal jackknife).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from services.analyst.arena.battles import Battles
from services.analyst.arena.bradley_terry import PRIOR, derivatives, fit, groups, held
from services.analyst.intervals import Crossed, Floats, crossed, satterthwaite
from services.analyst.length_control.bootstrap import draws

RESAMPLES = 1000
BASE = 1000.0
SCALE = 400 / log(10)
"""Elo points to a log-odd: 400 of them are odds of ten to one."""


@dataclass(frozen=True)
class Misfit:
    """The pair whose wins are furthest from what the ratings say, by so many points of win rate.

    `beyond` says that chance does not explain it: it is outside of the pair's interval at 1 - .05 / pairs.
    """

    pair: tuple[str, str]
    points: float
    beyond: bool


@dataclass(frozen=True)
class Ratings:
    """Arms' ratings: `estimates` [arms], `resampled` [resamples, arms], `influence` [arms, seeds, prompts].

    Arms of different `groups` were never compared, not even through others: each group's mean is 1000. `held` arms won
    or lost everything, and their ratings are as far out as the prior lets them be.
    """

    battles: Battles
    estimates: Floats
    resampled: Floats
    influence: Floats
    groups: NDArray[np.intp]
    held: NDArray[np.bool_]
    converged: bool
    misfit: Misfit

    def interval(self, weights: Floats) -> Crossed:
        """The interval of a weighted sum of ratings; of weights that sum to 1 it is a rating itself."""
        estimate = np.asarray(weights @ self.estimates)
        seeds = crossed(np.einsum("a,asn->sn", weights, self.influence))
        n = seeds.prompts
        vp = np.asarray((self.resampled @ weights).var(ddof=1) * n / (n - 1))
        if not np.any(seeds.by_seed):
            return replace(seeds, mean=estimate, by_prompt=vp, variance=vp)
        variance = np.maximum(vp + seeds.by_seed - seeds.residual, vp)
        df = satterthwaite(vp, seeds.by_seed, seeds.residual, n, seeds.seeds)
        return replace(seeds, mean=estimate, by_prompt=vp, variance=variance, df=df)

    def comparable(self, weights: Floats) -> bool:
        """Whether a contrast takes differences within groups alone: between them no scale is common."""
        return all(weights[self.groups == group].sum() == 0 for group in np.unique(self.groups))


def rate(battles: Battles, resamples: int = RESAMPLES, seed: int = 0) -> Ratings | None:
    """The ratings of all arms; None with fewer than two prompts."""
    prompts, seeds = len(battles.prompt_ids), len(battles.seeds)
    if prompts < 2:
        return None
    design = battles.design
    won = np.nan_to_num(battles.shares).sum(axis=1).T
    played = np.where(battles.counted, float(seeds), 0.0).T
    wins, games = won.sum(axis=0), played.sum(axis=0)
    whole = fit(design, wins, games)
    weights = draws(prompts, resamples, seed)
    again = fit(design, weights @ won, weights @ played, start=whole.strengths, tolerance=1e-6)
    return Ratings(
        battles=battles,
        estimates=BASE + SCALE * whole.strengths,
        resampled=BASE + SCALE * again.strengths,
        influence=BASE + SCALE * (whole.strengths[:, None, None] + _influence(battles, whole.strengths, wins, games)),
        groups=groups(battles.sides, games, len(battles.arms)),
        held=held(battles.sides, wins, games, len(battles.arms)),
        converged=bool(whole.converged.all() and again.converged.all()),
        misfit=_misfit(battles, whole.strengths, wins, games),
    )


def _expected(battles: Battles, strengths: Floats) -> Floats:
    return np.asarray(expit(battles.design @ strengths))


def _misfit(battles: Battles, strengths: Floats, wins: Floats, games: Floats) -> Misfit:
    distances = np.abs(wins / np.maximum(games, 1) - _expected(battles, strengths)) * (games > 0)
    worst = int(distances.argmax())
    scores = battles.shares[worst][:, battles.counted[worst]]
    beyond = scores.shape[1] > 1 and distances[worst] > float(crossed(scores).half_width(0.05 / len(games)))
    a, b = battles.sides[worst]
    return Misfit((battles.arms[a], battles.arms[b]), float(100 * distances[worst]), bool(beyond))


def _influence(battles: Battles, strengths: Floats, wins: Floats, games: Floats) -> Floats:
    """What each seed and prompt moves the strengths by, times how many of them there are, [arms, seeds, prompts]."""
    design = battles.design
    _, information = derivatives(design, wins, games, strengths)
    residuals = np.nan_to_num(battles.shares - _expected(battles, strengths)[:, None, None])
    _, seeds, prompts = residuals.shape
    scores = np.einsum("pa,psn->asn", design, residuals)
    scores -= (strengths / PRIOR**2 / (seeds * prompts))[:, None, None]
    flat = np.linalg.solve(information, scores.reshape(len(strengths), -1))
    return np.asarray(seeds * prompts * flat.reshape(scores.shape))
