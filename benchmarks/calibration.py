"""Does the interval cover the truth as often as it says? Simulated judgements, through the report's own function.

Run it: `python -m benchmarks.calibration [--tables 10000]` (about two minutes on one core). Every table has prompts of
different difficulty that both arms share, a part that only one arm finds hard, ties, a judge with a position bias asked
in both orders, and seeds whose checkpoints differ. All latent parts are Gaussian and the judge is a probit with two
thresholds, so that an arm's true mean score is known in closed form: of the recipe (seeds and prompts averaged) for
S >= 3, of the checkpoints (prompts averaged) for S < 3.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from services.analyst.contrasts import estimate
from services.analyst.intervals import Floats
from services.analyst.verdict import claim
from shared.power import RECIPE_SEEDS

WEIGHTS = np.array([1.0, -1.0])
BASELINE = 45.0
"""Arm B's true mean score, in points."""


@dataclass(frozen=True)
class Judge:
    """The world's constants, in units of the judge's own noise: the SD of one verdict given both completions is 1."""

    prompt: float = 0.8
    """SD of a prompt's difficulty, which both arms and all seeds share"""
    arm_prompt: float = 0.6
    """SD of a prompt's difficulty for one arm alone, over all its seeds"""
    sample: float = 0.5
    """SD between the completions that one arm's seeds give to one prompt"""
    tie: float = 0.25
    """half the width of the band in which the judge calls a tie"""
    bias: float = 0.2
    """what being shown first adds"""

    @property
    def spread(self) -> float:
        """Variance of all that is averaged over prompts, with the judge's own noise."""
        return 1 + self.prompt**2 + self.arm_prompt**2 + self.sample**2

    def mean_score(self, latent: Floats, extra: float = 0.0) -> Floats:
        """Expected score 0..100 of an arm at `latent`; `extra` is the variance between seeds to average over."""
        sd = np.sqrt(self.spread + extra)
        wins = [ndtr((latent + side - self.tie) / sd) for side in (self.bias, -self.bias)]
        losses = [ndtr((-latent - side - self.tie) / sd) for side in (self.bias, -self.bias)]
        return np.asarray(50 + 25 * (sum(wins) - sum(losses)))

    def latent_of(self, score: Floats, extra: float = 0.0) -> Floats:
        """The inverse of `mean_score`, by interpolation on a grid of 1e-4."""
        grid = np.linspace(-6, 6, 120_001)
        return np.interp(score, self.mean_score(grid, extra), grid)

    def seed_sd(self, points: float) -> float:
        """SD between seeds, in latent units, that moves an arm's mean score by `points` (SD) at the baseline."""
        if points == 0:
            return 0.0
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        weights = weights / weights.sum()

        def excess(sd: float) -> float:
            centre = self.latent_of(np.array(BASELINE), sd**2)
            means = self.mean_score(centre + sd * nodes)
            return float(np.sqrt(weights @ (means - weights @ means) ** 2) - points)

        return float(brentq(excess, 1e-6, 3.0))


@dataclass(frozen=True)
class Setting:
    """One line of the table: `seed_sd` is the SD of an arm's own mean score between its seeds, in points."""

    prompts: int
    seeds: int
    seed_sd: float
    difference: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """Shares (percent) of tables whose interval covers the truth, and that make either claim at delta = truth."""

    setting: Setting
    tables: int
    covers: float
    rl_adds_value: float
    sft_suffices: float
    half_width: float
    ties: float


def tables(setting: Setting, judge: Judge, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Floats]:
    """`count` tables of scores [count, 2, seeds, prompts] and the true difference of each."""
    sd = judge.seed_sd(setting.seed_sd)
    extra = sd**2
    seed_effects = sd * rng.standard_normal((count, 2, setting.seeds))
    goal = np.array([BASELINE + setting.difference, BASELINE])
    latent = judge.latent_of(goal, extra)[None, :, None] + seed_effects
    if setting.seeds < RECIPE_SEEDS:
        means = judge.mean_score(latent[:, 1]).mean(axis=-1)
        latent[:, 0] = judge.latent_of(means + setting.difference)[:, None]
    return judged(latent, setting.prompts, judge, rng), np.full(count, setting.difference)


def judged(latent: Floats, prompts: int, judge: Judge, rng: np.random.Generator) -> NDArray[np.float32]:
    """Scores [count, arms, seeds, prompts] of checkpoints at `latent` [count, arms, seeds]: 0, 25, 50, 75 or 100."""
    count, arms, seeds = latent.shape

    def noise(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    quality = judge.sample * noise(count, arms, seeds, prompts)
    quality += judge.prompt * noise(count, 1, 1, prompts)
    quality += judge.arm_prompt * noise(count, arms, 1, prompts)
    quality += latent[..., None].astype(np.float32)
    score = np.zeros_like(quality)
    for side in (judge.bias, -judge.bias):
        seen = quality + np.float32(side) + noise(*quality.shape)
        score += 25 * ((seen > judge.tie).astype(np.float32) - (seen < -judge.tie))
    return score + 50


def measure(setting: Setting, count: int = 10_000, seed: int = 0, judge: Judge | None = None) -> Outcome:
    """Simulate one setting and put every table through the function that the report calls."""
    judge = judge or Judge()
    digits = [setting.prompts, setting.seeds, int(10 * setting.seed_sd), int(10 * setting.difference)]
    rng = np.random.default_rng([seed, *digits])
    covered = adds = suffices = 0
    width = ties = 0.0
    for size in _chunks(count, setting):
        scores, truth = tables(setting, judge, size, rng)
        error = estimate(scores, WEIGHTS)
        low, high = error.bounds()
        covered += int(((low <= truth) & (truth <= high)).sum())
        claims = [claim(*ends) for ends in zip(low, high, truth, strict=True)]
        adds += claims.count("rl_adds_value")
        suffices += claims.count("sft_suffices")
        width += float((high - low).sum()) / 2
        ties += float((scores == 50).mean()) * size
    share = 100 / count
    return Outcome(setting, count, covered * share, adds * share, suffices * share, width / count, ties * share)


def _chunks(count: int, setting: Setting) -> Iterator[int]:
    """Batches that stay in the processor's cache, more or less."""
    size = max(1, 400_000 // (setting.prompts * setting.seeds))
    for start in range(0, count, size):
        yield min(size, count - start)


def grid(delta: float = 2.0) -> list[Setting]:
    """The settings of the table: at no difference, and at a difference of exactly delta."""
    return [
        Setting(n, s, sd, difference)
        for difference, n, s, sd in product((0.0, delta), (200, 805), (1, 3, 5), (0.0, 2.0, 4.0))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=10_000, help="simulated tables a setting")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    print("| true difference | n | S | seed SD | covers % | RL adds value % | SFT suffices % | half-width | ties % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for setting in grid():
        out = measure(setting, options.tables, options.seed)
        print(
            f"| {setting.difference:g} | {setting.prompts} | {setting.seeds} | {setting.seed_sd:g} | {out.covers:.1f} "
            f"| {out.rl_adds_value:.1f} | {out.sft_suffices:.1f} | {out.half_width:.2f} | {out.ties:.0f} |",
            flush=True,
        )
    print(f"\n{options.tables} tables a setting, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
