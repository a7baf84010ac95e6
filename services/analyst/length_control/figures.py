"""Length-controlled win rates beside raw ones: by arm, and for contrasts between arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from services.analyst.contrasts import Contrast
from services.analyst.intervals import Crossed
from services.analyst.length_control import bootstrap, joint, minimal, trust
from services.analyst.length_control.table import Floats, LengthTable
from services.analyst.length_control.trust import Concern

Method = Literal["joint", "alpaca_eval_minimal"]
EVEN = 50.0
"""The win rate of an arm that is as good as the reference."""


@dataclass(frozen=True)
class Beside:
    """One number without length control and with it, in points, and their difference; all from the same resamples.

    `length_ratio` is how many times as long the one side's completions are as the other's, on average. `disagree` says
    that the two lead to different conclusions: their intervals lie differently to what they are compared with.
    """

    raw: Crossed
    controlled: Crossed
    change: Crossed
    length_ratio: float
    disagree: bool


@dataclass(frozen=True)
class ArmFigures(Beside):
    """An arm against the reference. They disagree where one interval is above or below 50 and the other is not."""

    name: str
    slope: float
    """log-odds for a length difference far above the scale, over none; the mean over seeds in `alpaca_eval_minimal`"""
    concerns: tuple[Concern, ...]

    @property
    def trusted(self) -> bool:
        return not any(concern.serious for concern in self.concerns)


@dataclass(frozen=True)
class Controlled:
    """What `length_controlled` found; draws are [resamples, arms, seeds], `estimates` [arms, seeds], in percent.

    `fits` is the joint fit of the whole table; `sigma` and `tau` are its spreads of difficulty and slopes in log-odds
    (None in `alpaca_eval_minimal`).
    """

    table: LengthTable
    method: Method
    estimates: Floats
    resampled: Floats
    weights: Floats
    arms: tuple[ArmFigures, ...]
    concerns: tuple[Concern, ...]
    sigma: float | None = None
    tau: float | None = None
    fits: joint.Fits | None = None

    @property
    def trusted(self) -> bool:
        """Whether nothing serious is to be said of the fit as a whole; each arm has its own besides."""
        return not any(concern.serious and concern.arm is None for concern in self.concerns)

    def arm(self, name: str) -> ArmFigures:
        """Raises: KeyError: no arm of this name."""
        return {arm.name: arm for arm in self.arms}[name]

    def contrast(self, contrast: Contrast, delta: float | None = None, alpha: float = 0.05) -> Beside:
        """A contrast with length control and without, over the prompts that all its arms were judged on.

        They disagree where one interval (at 1 - `alpha`) is above or below zero and the other is not, or, for a
        `delta` in points, likewise of delta. `length_ratio` is that of the first arm to the second; in a difference of
        differences, the first difference's over the second's.

        Raises:
            KeyError: an arm that is not in the table.
            ValueError: fewer than two prompts are judged for all arms.
        """
        signs = np.array([float(sign) for sign, _ in contrast.terms])
        which = [self._index(arm) for arm in contrast.arms]
        common = self.table.judged[which].all(axis=(0, 1))
        if common.sum() < 2:
            raise ValueError(f"{contrast.name}: fewer than two prompts are judged for {' and '.join(contrast.arms)}")
        wins = 100 * self.table.preferences[which][..., common]
        limits = [0.0] if delta is None else [0.0, delta]
        return _beside(
            _mean_of(wins, np.ones((1, int(common.sum()))), signs)[0],
            _mean_of(wins, self.weights[:, common], signs),
            np.einsum("a,as->s", signs, self.estimates[which]),
            np.einsum("a,ras->rs", signs, self.resampled[:, which]),
            int(common.sum()),
            float(np.exp(signs @ np.log(self.table.mean_lengths[which]))),
            limits,
            alpha,
        )

    def _index(self, arm: str) -> int:
        if arm not in self.table.arms:
            raise KeyError(f"{arm} is not among {', '.join(self.table.arms)}")
        return self.table.arms.index(arm)


def length_controlled(
    table: LengthTable, method: Method = "joint", resamples: int | None = None, seed: int = 0
) -> Controlled:
    """Fit, refit on `resamples` bootstrap samples of the prompts, and say what is not to be trusted.

    None: 500, of large tables down to 200. The same table and seed give the same answer.
    """
    weights = bootstrap.draws(table.prompts, resamples or bootstrap.resamples_for(table), seed)
    one = np.ones((1, table.prompts))
    concerns = trust.of_data(table)
    sigma = tau = fits = None
    if method == "joint":
        fits = joint.fit(table, one, joint.start(table))
        estimates, slopes = joint.figures(table, one, fits)[0], fits.slopes[0]
        sigma, tau = float(fits.sigma[0]), float(fits.tau[0])
        resampled, converged = bootstrap.joint_draws(table, weights, fits)
        concerns += trust.of_joint(table, fits)
    else:
        strengths, estimates, slopes = _minimal(table)
        resampled, converged = bootstrap.minimal_draws(table, weights, strengths)
    concerns += trust.of_resamples(converged)
    arms = _arms(table, estimates, resampled, weights, slopes, concerns)
    concerns += [one for arm in arms for one in arm.concerns if one.code == "large_change"]
    return Controlled(table, method, estimates, resampled, weights, arms, tuple(concerns), sigma, tau, fits)


def _minimal(table: LengthTable) -> tuple[Floats, Floats, Floats]:
    """C, figure [arms, seeds] and mean slope [arms] of one regression a checkpoint."""
    shape = (len(table.arms), table.seeds)
    strengths, estimates, slopes = np.ones(shape), np.full(shape, np.nan), np.full(shape, np.nan)
    for at in np.ndindex(*shape):
        y, x, judged = bootstrap.minimal_rows(table, *at)
        if judged.any():
            strengths[at] = minimal.chosen_strength(y, x)
            found = minimal.lasso(y, x, np.ones((1, len(y))), float(strengths[at]))
            estimates[at], slopes[at] = found.figure[0], found.slope[0]
    return strengths, estimates, slopes.mean(axis=1)


def _arms(
    table: LengthTable,
    estimates: Floats,
    resampled: Floats,
    weights: Floats,
    slopes: Floats,
    concerns: Sequence[Concern],
) -> tuple[ArmFigures, ...]:
    one = np.ones((1, table.prompts))
    made = []
    for at, name in enumerate(table.arms):
        judged = table.judged[at]
        reference = np.broadcast_to(table.reference_lengths, judged.shape)[judged]
        wins = 100 * table.preferences[at : at + 1]
        raw = _mean_of(wins, one, np.ones(1))[0]
        beside = _beside(
            raw,
            _mean_of(wins, weights, np.ones(1)),
            estimates[at],
            resampled[:, at],
            max(int(judged.any(axis=0).sum()), 2),
            float(table.lengths[at][judged].sum() / reference.sum()) if judged.any() and reference.sum() else np.nan,
            [EVEN],
        )
        own = [concern for concern in concerns if concern.arm == name]
        own += trust.of_change(name, float(raw.mean()), float(estimates[at].mean())) if judged.any() else []
        made.append(ArmFigures(**vars(beside), name=name, slope=float(slopes[at]), concerns=tuple(own)))
    return tuple(made)


def _mean_of(wins: Floats, weights: Floats, signs: Floats) -> Floats:
    """Weighted mean scores [resamples, seeds] of a signed sum of arms, each over its own judged prompts."""
    judged = ~np.isnan(wins)
    total = np.einsum("rn,asn->ras", weights, np.where(judged, wins, 0.0))
    count = np.einsum("rn,asn->ras", weights, judged.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.einsum("a,ras->rs", signs, total / count))


def _beside(
    raw: Floats,
    raw_draws: Floats,
    controlled: Floats,
    draws: Floats,
    prompts: int,
    length_ratio: float,
    limits: Sequence[float],
    alpha: float = 0.05,
) -> Beside:
    plain = bootstrap.crossed_from(raw, raw_draws, prompts)
    kept = bootstrap.crossed_from(controlled, draws, prompts)
    change = bootstrap.crossed_from(controlled - raw, draws - raw_draws, prompts)
    differ = any(side(plain, limit, alpha) != side(kept, limit, alpha) for limit in limits)
    return Beside(plain, kept, change, length_ratio, differ)


def side(error: Crossed, limit: float, alpha: float) -> Literal["above", "below", "across"]:
    """Where an interval lies to a limit."""
    low, high = error.bounds(alpha)
    return "above" if low > limit else "below" if high < limit else "across"
