"""The instrument checked against worlds whose truth is known: coverage, wrong claims, and power beside the predicted.

Run it: `python -m benchmarks.known [--tables 10000]` (a few minutes on one core). Every world is simulated at three
true differences: 0; delta (where each of the two claims is wrong); and the smallest one that `shared.power` says is
told from delta in 80% of experiments. The goals: 92.5-98% coverage, wrong claims in at most 7.5% of experiments, power
within 3 points of the predicted. `misses` is what one sees who asks the wrong question: the length-free difference
where lengths are unequal, the gold one where the judge favours an arm and is not corrected.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration import BASELINE, WEIGHTS, Judge, Setting, chunks, latents, qualities, verdicts
from services.analyst.contrasts import estimate, weigh
from services.analyst.intervals import Crossed, Interval
from services.analyst.ppi import corrected
from services.analyst.verdict import claim, decision_alpha
from shared.power import Components

DELTA = 2.0
JUDGE = Judge()


@dataclass(frozen=True)
class World:
    """One world: a matrix of `policies` x `judges` cells, most often one.

    The judge finds arm A's completions better by `longer` for their length (SD `length_sd` over prompts) and by
    `favours` for no reason that gold labels would know, both in units of its own noise; `labelled` prompts have gold.
    """

    name: str
    prompts: int = 805
    seeds: int = 1
    seed_sd: float = 0.0
    policies: int = 1
    judges: int = 1
    longer: float = 0.0
    length_sd: float = 0.0
    favours: float = 0.0
    labelled: int = 0

    @property
    def cells(self) -> int:
        return self.policies * self.judges

    @property
    def alpha(self) -> float:
        return decision_alpha(cells=self.cells)


WORLDS = (
    World("one run each"),
    World("unequal lengths", longer=0.25, length_sd=0.3),
    World("the judge favours an arm; 100 gold labels", favours=0.15, labelled=100),
    World("3 seeds, seed SD 2", seeds=3, seed_sd=2.0),
    World("a 5 × 4 matrix, 3 seeds, seed SD 2", prompts=200, seeds=3, seed_sd=2.0, policies=5, judges=4),
)


@dataclass
class Tally:
    """Counts over experiments (`any_wrong`) and over their cells (the others)."""

    experiments: int = 0
    cells: int = 0
    covered: int = 0
    right: int = 0
    any_wrong: int = 0
    missed: int = 0
    parts: list[Components] = field(default_factory=list)

    def share(self, name: str) -> float:
        """Percent of the cells, or of the experiments."""
        return 100 * float(getattr(self, name)) / (self.experiments if name == "any_wrong" else self.cells)


def simulate(world: World, difference: float, count: int, seed: int = 0) -> Tally:
    """`count` experiments whose true difference is this in every cell."""
    tally = Tally()
    rng = np.random.default_rng([seed, *world.name.encode(), round(1000 * difference)])
    for size in chunks(count, world.prompts * world.seeds * world.cells):
        found = list(_cells(world, difference, size, rng))
        wrong = np.zeros(size, dtype=bool)
        for interval, error, wrong_question in found:
            low, high = interval.bounds()
            tally.covered += int(((low <= difference) & (difference <= high)).sum())
            ends = zip(*interval.bounds(world.alpha), strict=True)
            claims = np.array([claim(*pair, DELTA) for pair in ends])
            right = "inconclusive" if difference == DELTA else "sft_suffices" if difference < DELTA else "rl_adds_value"
            tally.right += int((claims == right).sum())
            wrong |= (claims != right) & (claims != "inconclusive")
            low, high = error.bounds()
            tally.missed += int(((low > wrong_question) | (wrong_question > high)).sum())
            if len(tally.parts) < 40:
                tally.parts.append(components(error))
        tally.any_wrong += int(wrong.sum())
        tally.experiments += size
        tally.cells += size * len(found)
    return tally


def _cells(
    world: World, difference: float, size: int, rng: np.random.Generator
) -> Iterator[tuple[Interval, Crossed, float]]:
    """Each cell's interval that decides, the uncorrected one, and what that one may be wrongly taken to estimate."""
    setting = Setting(world.prompts, world.seeds, world.seed_sd, difference)
    for _ in range(world.policies):
        latent = latents(setting, JUDGE, size, rng)
        wrong_question = difference
        if world.longer:
            goal = np.array(BASELINE + difference)
            latent[:, 0] = JUDGE.latent_of(goal, world.length_sd**2) - world.longer
            wrong_question = float(JUDGE.mean_score(latent[0, 0, 0]) - BASELINE)
        quality = qualities(latent, world.prompts, JUDGE, rng)
        liked = quality
        if world.longer or world.favours:
            liked = quality.copy()
            noise = rng.standard_normal(quality[:, 0].shape, dtype=np.float32)
            liked[:, 0] += np.float32(world.longer + world.favours) + np.float32(world.length_sd) * noise
        for _ in range(world.judges):
            scores = verdicts(liked, JUDGE, rng)
            error = estimate(scores, WEIGHTS)
            assert isinstance(error, Crossed)
            yield _gold(world, quality, scores, rng) if world.labelled else error, error, wrong_question


def _gold(
    world: World, quality: NDArray[np.float32], scores: NDArray[np.float32], rng: np.random.Generator
) -> Interval:
    """The contrast corrected with what people who favour nobody said of a random choice of prompts."""
    chosen = np.zeros(world.prompts, dtype=bool)
    chosen[rng.choice(world.prompts, world.labelled, replace=False)] = True
    gold = verdicts(quality[..., chosen], JUDGE, rng)
    return corrected(weigh(scores, WEIGHTS), weigh(gold, WEIGHTS), chosen)


def components(error: Crossed) -> Components:
    """The mean over a batch of tables of the variances behind their errors."""
    n, seeds = error.prompts, error.seeds
    vp, vs, r = (float(np.mean(part)) for part in (error.by_prompt, error.by_seed, error.residual))
    recipe = bool(vs)
    return Components(max(vp - r, 0) * n, max(vs - r, 0) * seeds, r * seeds * n, recipe)


def pilot(world: World, difference: float, seed: int = 1) -> Components:
    """The variances that 400 other experiments of this world measured, on the mean: what `plan` would go by."""
    parts = simulate(world, difference, 400, seed).parts
    prompt, seed_part, residual = (
        float(np.mean([getattr(one, name) for one in parts])) for name in ("prompt", "seed", "residual")
    )
    return Components(prompt, seed_part, residual, recipe=parts[0].recipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=10_000, help="simulated experiments a line")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.process_time()
    print("| world | true difference | covers % | wrong claims % | right claims % | predicted % | misses % |")
    print("|---|---|---|---|---|---|---|")
    for world in WORLDS:
        seen = pilot(world, DELTA, options.seed + 1).smallest_seen(world.prompts, world.seeds, world.alpha)
        for difference in (0.0, DELTA, DELTA + seen):
            out = simulate(world, difference, options.tables, options.seed)
            parts = pilot(world, difference, options.seed + 1)
            power = 100 * parts.power(abs(difference - DELTA), world.prompts, world.seeds, world.alpha)
            decides = difference != DELTA
            predicted = "–" if world.labelled or not decides else f"{power:.1f}"
            right = f"{out.share('right'):.1f}" if decides else "–"
            other = f"{out.share('missed'):.1f}" if world.longer or world.favours else "–"
            print(
                f"| {world.name} | {difference:.1f} | {out.share('covered'):.1f} | {out.share('any_wrong'):.1f} "
                f"| {right} | {predicted} | {other} |",
                flush=True,
            )
    print(f"\n{options.tables} experiments a line, delta {DELTA:g}, {time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
