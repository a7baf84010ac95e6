"""Does the interval cover the truth as often as it says? Simulated judgements, through the report's own function.

Run it: `python -m benchmarks.calibration [--tables 10000] [--full]` (about two minutes on one core; the full grid with
2,000 tables a setting about seven). Every table has prompts of different difficulty that both arms share, a part that
only one arm finds hard, ties, a judge with a position bias asked in both orders, and seeds whose checkpoints differ.
All latent parts are Gaussian and the judge is a probit with two thresholds, so that an arm's true mean score is known
in closed form: of the recipe (seeds and prompts averaged) for S >= 3, of the checkpoints (prompts averaged) for S < 3.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
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

    def seed_sd(self, points: float, baseline: float = BASELINE) -> float:
        """SD between seeds, in latent units, that moves an arm's mean score by `points` (SD) at the baseline."""
        if points == 0:
            return 0.0
        nodes, weights = _normal_nodes()

        def excess(sd: float) -> float:
            centre = self.latent_of(np.array(baseline), sd**2)
            means = self.mean_score(centre + sd * nodes)
            return float(np.sqrt(weights @ (means - weights @ means) ** 2) - points)

        return float(brentq(excess, 1e-6, 3.0))

    def correlation(self, baseline: float = BASELINE) -> float:
        """Between two arms' scores on the same prompts, one seed each, both at `baseline`."""
        nodes, weights = _normal_nodes()
        latent = float(self.latent_of(np.array(baseline)))
        given_prompt = replace(self, prompt=0.0).mean_score(latent + self.prompt * nodes)
        own = np.hypot(self.arm_prompt, self.sample)
        quality = latent + self.prompt * nodes[:, None] + own * nodes
        orders = [
            (ndtr(quality + side - self.tie), ndtr(-quality - side - self.tie)) for side in (self.bias, -self.bias)
        ]
        means = [50 + 50 * (win - loss) for win, loss in orders]
        noise = [2500 * ((win + loss) - (win - loss) ** 2) for win, loss in orders]
        both = weights[:, None] * weights
        mean = sum(means) / 2
        variance = (both * mean**2).sum() - (both * mean).sum() ** 2 + (both * sum(noise)).sum() / 4
        shared = weights @ given_prompt**2 - (weights @ given_prompt) ** 2
        return float(shared / variance)

    def correlated(self, target: float, baseline: float = BASELINE) -> Judge:
        """The same judge in a world whose arms correlate so; prompts' whole variance stays what it is.

        Raises:
            ValueError: no share of that variance gives so much.
        """
        whole = np.hypot(self.prompt, self.arm_prompt)

        def mixed(share: float) -> Judge:
            return replace(self, prompt=float(whole * share**0.5), arm_prompt=float(whole * (1 - share) ** 0.5))

        if target == 0:
            return mixed(0.0)
        return mixed(brentq(lambda share: mixed(share).correlation(baseline) - target, 0.0, 1.0))


def _normal_nodes() -> tuple[Floats, Floats]:
    """Gauss-Hermite nodes and weights of a standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return nodes, weights / weights.sum()


@dataclass(frozen=True)
class Setting:
    """One line of the table: `seed_sd` is the SD of an arm's own mean score between its seeds, in points.

    `baseline` is arm B's true mean score; `correlation` between the arms' scores, None for the judge's own.
    """

    prompts: int
    seeds: int
    seed_sd: float
    difference: float = 0.0
    baseline: float = BASELINE
    correlation: float | None = None
    tie: float | None = None


@cache
def world(judge: Judge, correlation: float | None, baseline: float, tie: float | None) -> Judge:
    """The judge with other ties, in a world with this correlation between arms; each solved once."""
    tied = judge if tie is None else replace(judge, tie=tie)
    return tied if correlation is None else tied.correlated(correlation, baseline)


@cache
def seed_sd(judge: Judge, points: float, baseline: float) -> float:
    """`Judge.seed_sd`, each solved once."""
    return judge.seed_sd(points, baseline)


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
    return judged(latents(setting, judge, count, rng), setting.prompts, judge, rng), np.full(count, setting.difference)


def latents(setting: Setting, judge: Judge, count: int, rng: np.random.Generator) -> Floats:
    """Where `count` pairs of arms' checkpoints lie [count, 2, seeds], so that the true difference is the setting's."""
    sd = seed_sd(judge, setting.seed_sd, setting.baseline)
    extra = sd**2
    seed_effects = sd * rng.standard_normal((count, 2, setting.seeds))
    goal = np.array([setting.baseline + setting.difference, setting.baseline])
    latent = judge.latent_of(goal, extra)[None, :, None] + seed_effects
    if setting.seeds < RECIPE_SEEDS:
        means = judge.mean_score(latent[:, 1]).mean(axis=-1)
        latent[:, 0] = judge.latent_of(means + setting.difference)[:, None]
    return latent


def judged(latent: Floats, prompts: int, judge: Judge, rng: np.random.Generator) -> NDArray[np.float32]:
    """Scores [count, arms, seeds, prompts] of checkpoints at `latent` [count, arms, seeds]: 0, 25, 50, 75 or 100."""
    return verdicts(qualities(latent, prompts, judge, rng), judge, rng)


def qualities(latent: Floats, prompts: int, judge: Judge, rng: np.random.Generator) -> NDArray[np.float32]:
    """How good completions [count, arms, seeds, prompts] are, of checkpoints at `latent` [count, arms, seeds]."""
    count, arms, seeds = latent.shape

    def noise(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    quality = judge.sample * noise(count, arms, seeds, prompts)
    quality += judge.prompt * noise(count, 1, 1, prompts)
    quality += judge.arm_prompt * noise(count, arms, 1, prompts)
    quality += latent[..., None].astype(np.float32)
    return quality


def verdicts(quality: NDArray[np.float32], judge: Judge, rng: np.random.Generator) -> NDArray[np.float32]:
    """The judge's scores of such completions, both orders averaged."""
    score = np.zeros_like(quality)
    for side in (judge.bias, -judge.bias):
        seen = rng.standard_normal(quality.shape, dtype=np.float32)
        seen += quality
        seen += np.float32(side)
        score += seen > judge.tie
        score -= seen < -judge.tie
    score *= 25
    score += 50
    return score


def measure(setting: Setting, count: int = 10_000, seed: int = 0, judge: Judge | None = None) -> Outcome:
    """Simulate one setting and put every table through the function that the report calls."""
    judge = world(judge or Judge(), setting.correlation, setting.baseline, setting.tie)
    digits = [setting.prompts, setting.seeds, int(10 * setting.seed_sd), int(10 * setting.difference)]
    rng = np.random.default_rng([seed, *digits, int(setting.baseline)])
    covered = adds = suffices = 0
    width = ties = 0.0
    for size in chunks(count, setting.prompts * setting.seeds):
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


def chunks(count: int, cells: int) -> Iterator[int]:
    """Batches of tables with so many cells, that stay in the processor's cache, more or less."""
    size = max(1, 400_000 // cells)
    for start in range(0, count, size):
        yield min(size, count - start)


def grid(delta: float = 2.0) -> list[Setting]:
    """The settings of the table: at no difference, and at a difference of exactly delta."""
    return [
        Setting(n, s, sd, difference)
        for difference, n, s, sd in product((0.0, delta), (200, 805), (1, 3, 5), (0.0, 2.0, 4.0))
    ]


def full_grid(delta: float = 2.0) -> list[Setting]:
    """Correlation between arms x win rate x ties x n x S x seed SD, at a difference of exactly delta."""
    return [
        Setting(n, s, sd, delta, baseline, correlation, tie)
        for correlation, baseline, tie, n, s, sd in product(
            (0.0, 0.25, 0.5), (10.0, 50.0, 90.0), (0.0, 0.8), (60, 200, 805), (1, 3, 5, 10), (0.0, 2.0, 5.0)
        )
    ]


VARIED = Judge(prompt=1.2, arm_prompt=1.2)
"""The full grid's judge: prompts vary enough for a correlation of one half at any win rate of the grid."""
FACTORS = {
    "correlation": "correlation between arms",
    "baseline": "win rate of arm B",
    "tie": "half the judge's band of ties",
    "prompts": "prompts",
    "seeds": "seeds",
    "seed_sd": "seed SD in points",
}


def print_rows(outcomes: Iterable[Outcome]) -> None:
    print("| true difference | n | S | seed SD | covers % | RL adds value % | SFT suffices % | half-width | ties % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for out in outcomes:
        setting = out.setting
        print(
            f"| {setting.difference:g} | {setting.prompts} | {setting.seeds} | {setting.seed_sd:g} | {out.covers:.1f} "
            f"| {out.rl_adds_value:.1f} | {out.sft_suffices:.1f} | {out.half_width:.2f} | {out.ties:.0f} |",
            flush=True,
        )


def print_levels(outcomes: Sequence[Outcome]) -> None:
    """The full grid by the levels of each factor, the others averaged, and every setting outside 92.5-98%."""
    print("| factor | level | settings | covers %: mean | least | most | claims at delta %: mean | most | ties % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for factor, title in {"": "all", **FACTORS}.items():
        for level in sorted({getattr(out.setting, factor) for out in outcomes}) if factor else [""]:
            of = [out for out in outcomes if not factor or getattr(out.setting, factor) == level]
            covers, claims = [out.covers for out in of], [out.rl_adds_value + out.sft_suffices for out in of]
            print(
                f"| {title} | {level} | {len(of)} | {np.mean(covers):.1f} | {min(covers):.1f} | {max(covers):.1f} "
                f"| {np.mean(claims):.1f} | {max(claims):.1f} | {np.mean([out.ties for out in of]):.0f} |"
            )
    for out in outcomes:
        if not 92.5 <= out.covers <= 98:
            print(f"outside 92.5-98: covers {out.covers:.1f}%, {out.setting}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, help="simulated tables a setting (10,000; of the full grid 2,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="every factor crossed: 648 settings, by level")
    options = parser.parse_args()
    began = time.process_time()
    count = options.tables or (2_000 if options.full else 10_000)
    judge, settings = (VARIED, full_grid()) if options.full else (Judge(), grid())
    outcomes = (measure(setting, count, options.seed, judge) for setting in settings)
    if options.full:
        print_levels(list(outcomes))
    else:
        print_rows(outcomes)
    print(f"\n{count} tables a setting, {time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
