"""Length control: beside alpaca_eval's own code, against known truths, and how fast.

Run it:
`python -m benchmarks.length_control peer FOLDER [--labels FILE]`  alpaca_eval, installed under FOLDER, on made-up
    labels and on recorded ones (Parquet with generator_2, output_1, output_2 and preference, as AlpacaEval's)
`python -m benchmarks.length_control coverage [--tables 400]`  how often the interval covers, in worlds with a truth
`python -m benchmarks.length_control speed`  10 arms x 805 prompts x 500 resamples
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pyarrow.parquet as pq
from scipy.special import expit

from benchmarks.calls.clients import Client, install
from services.analyst.contrasts import Contrast
from services.analyst.intervals import Crossed, Floats
from services.analyst.length_control import LengthTable, Method, length_controlled
from services.analyst.preferences import wins

PEER = Client("alpaca_eval", ("alpaca-eval==0.6.6", "scikit-learn==1.9.1"))
SCRIPT = Path(__file__).parent / "length_peers" / "alpaca_eval_minimal.py"
AGREES = 0.1
"""Points between our `alpaca_eval_minimal` and alpaca_eval's own figure, at most."""


@dataclass(frozen=True)
class Labels:
    """One model's recorded labels against one reference: preferences 0, 1..2 or None, lengths in characters."""

    preference: list[float | None]
    length_1: list[int]
    length_2: list[int]

    @property
    def table(self) -> LengthTable:
        return LengthTable.of(["model"], wins(self.preference)[None], np.array([self.length_2]), self.length_1)


def made_up() -> dict[str, Labels]:
    """Labels from `random.Random`, the same everywhere: the unit test has alpaca_eval's figures of them."""
    return {
        "plain": _labels(1, 200, level=0.3, slope=1.0, longer=1.2),
        "ties and gaps": _labels(2, 400, level=-0.4, slope=1.5, longer=0.9, ties=0.15, gaps=0.05),
        "continuous": _labels(3, 300, level=0.8, slope=2.0, longer=1.5, continuous=True),
        "weak": _labels(4, 300, level=-3.2, slope=1.0, longer=0.8),
        "small": _labels(5, 40, level=0.0, slope=0.5, longer=1.0),
        "long": _labels(6, 250, level=-0.5, slope=2.5, longer=2.5),
    }


def _labels(
    seed: int,
    prompts: int,
    level: float,
    slope: float,
    longer: float,
    ties: float = 0.0,
    gaps: float = 0.0,
    continuous: bool = False,
) -> Labels:
    random = Random(seed)
    rows: list[tuple[float | None, int, int]] = []
    for _ in range(prompts):
        first = 40 + int(900 * random.random() ** 2)
        second = 20 + int(first * longer * (0.4 + 1.2 * random.random()))
        chance = 1 / (1 + 2.718281828459045 ** -(level + slope * (second - first) / 400))
        draw, other = random.random(), random.random()
        preference: float | None = 2.0 if draw < chance else 1.0
        if continuous:
            preference = 1 + min(1.0, max(0.0, chance + 0.5 * (draw - 0.5)))
        if other < ties:
            preference = 1.5
        elif other > 1 - gaps:
            preference = None
        rows.append((preference, first, second))
    return Labels([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def recorded(path: Path) -> dict[str, Labels]:
    """Recorded labels by model."""
    found: dict[str, Labels] = {}
    for row in pq.read_table(path, columns=["generator_2", "output_1", "output_2", "preference"]).to_pylist():
        one = found.setdefault(row["generator_2"], Labels([], [], []))
        preference = row["preference"]
        one.preference.append(None if preference is None or np.isnan(preference) else preference)
        one.length_1.append(len(row["output_1"]))
        one.length_2.append(len(row["output_2"]))
    return found


def ours(labels: Labels, method: Method = "alpaca_eval_minimal") -> float:
    """Our figure in percent, without an interval."""
    return float(length_controlled(labels.table, method, resamples=2).arms[0].controlled.mean)


def peer(folder: Path, tables: dict[str, Labels]) -> dict[str, dict[str, float]] | None:
    """alpaca_eval's own figures; None where it cannot be installed."""
    folder.mkdir(parents=True, exist_ok=True)
    python = install(PEER, folder)
    if python is None:
        return None
    asked, told = folder / "asked.json", folder / "told.json"
    asked.write_text(json.dumps({name: vars(labels) for name, labels in tables.items()}))
    subprocess.run([str(python), str(SCRIPT), str(asked), str(told)], check=True, capture_output=True)
    found: dict[str, dict[str, float]] = json.loads(told.read_text())
    return found


def compare(folder: Path, labels: Path | None) -> None:
    tables = made_up() | (recorded(labels) if labels else {})
    theirs = peer(folder, tables)
    if theirs is None:
        return
    print(f"{', '.join(PEER.packages)}\n\n| labels | raw | its minimal | ours | apart |\n|---|---|---|---|---|")
    apart = []
    for name, one in tables.items():
        its, own = theirs[name]["length_controlled_winrate"], ours(one)
        apart.append(abs(own - its))
        print(f"| {name} | {theirs[name]['win_rate']:.2f} | {its:.4f} | {own:.4f} | {own - its:+.4f} |")
    print(f"\nfarthest apart: {max(apart):.4f} (at most {AGREES}: {'met' if max(apart) <= AGREES else 'MISSED'})")


@dataclass(frozen=True)
class World:
    """A world in which the joint model holds, with a truth in closed form.

    Arms' levels and slopes are fixed; difficulties are normal, and so are the seeds' levels about their arm's.
    `longer` are the arms' mean log ratios to the reference's lengths. A tie takes a judgement's place at random.
    """

    prompts: int = 300
    levels: tuple[float, ...] = (-1.2, -0.3, 0.2, 1.0)
    slopes: tuple[float, ...] = (0.8, 1.2, 0.9, 1.1)
    longer: tuple[float, ...] = (-0.3, 0.0, 0.2, 0.4)
    difficulty: float = 1.0
    ties: float = 0.1
    seeds: int = 1
    seed_sd: float = 0.0

    @property
    def truth(self) -> Floats:
        """Each arm's mean win rate at equal lengths in percent, over all prompts and seeds there could be."""
        nodes, weight = np.polynomial.hermite_e.hermegauss(60)
        spread = np.hypot(self.difficulty, self.seed_sd)
        decided = expit(np.array(self.levels)[:, None] + spread * nodes) @ (weight / weight.sum())
        return np.asarray(100 * (1 - self.ties) * decided + 50 * self.ties)

    def table(self, rng: np.random.Generator) -> LengthTable:
        """One table of judgements."""
        shape = (len(self.levels), self.seeds, self.prompts)
        reference = np.exp(rng.normal(6, 0.6, self.prompts))
        lengths = reference * np.exp(np.array(self.longer)[:, None, None] + rng.normal(0, 0.5, shape))
        difference = lengths - reference
        x = np.tanh(difference / np.std(difference, ddof=1))
        level = np.array(self.levels)[:, None] + self.seed_sd * rng.standard_normal(shape[:2])
        linear = level[..., None] + np.array(self.slopes)[:, None, None] * x
        p = expit(linear + self.difficulty * rng.standard_normal(self.prompts))
        y = np.where(rng.random(shape) < self.ties, 0.5, rng.random(shape) < p)
        return LengthTable.of([f"arm-{k}" for k in range(len(self.levels))], y, lengths, reference)


@dataclass(frozen=True)
class Coverage:
    """Percent of intervals that cover, and points: mean error, its SD between tables, mean standard error claimed."""

    arms: float
    contrasts: float
    bias: float
    spread: float
    claimed: float


def coverage(world: World, tables: int, resamples: int = 100, method: Method = "joint", seed: int = 0) -> Coverage:
    """Over so many tables: each arm's interval, and that of each difference to the first arm."""
    rng = np.random.default_rng([seed, world.prompts, len(world.levels)])
    errors, claimed, arms, contrasts = [], [], [], []
    for number in range(tables):
        found = length_controlled(world.table(rng), method, resamples, seed=number)
        for arm, truth in zip(found.arms, world.truth, strict=True):
            errors.append(float(arm.controlled.mean) - truth)
            claimed.append(float(arm.controlled.standard_error))
            arms.append(_covers(arm.controlled, truth))
        for at in range(1, len(world.levels)):
            contrast = Contrast("difference", ((1, f"arm-{at}"), (-1, "arm-0")))
            contrasts.append(_covers(found.contrast(contrast).controlled, world.truth[at] - world.truth[0]))
    by_arm = np.array(errors).reshape(tables, -1)
    return Coverage(
        100 * float(np.mean(arms)),
        100 * float(np.mean(contrasts)),
        float(by_arm.mean()),
        float(by_arm.std(axis=0, ddof=1).mean()),
        float(np.mean(claimed)),
    )


def _covers(error: Crossed, truth: float) -> bool:
    low, high = error.bounds()
    return bool(low <= truth <= high)


WORLDS = {
    "as modelled": World(),
    "no length effect": World(slopes=(0.0, 0.0, 0.0, 0.0)),
    "805 prompts": World(prompts=805),
    "100 prompts": World(prompts=100),
    "hard and easy prompts": World(difficulty=2.0),
    "slopes far apart": World(slopes=(0.2, 2.5, 0.5, 1.8)),
    "lopsided": World(levels=(-2.5, -2.0, 1.8, 2.2)),
    "3 seeds that differ": World(prompts=200, seeds=3, seed_sd=0.15),
}


def cover(tables: int) -> None:
    print("| world | method | arms % | contrasts % | mean error | SD | claimed SE |\n|---|---|---|---|---|---|---|")
    methods: tuple[Method, ...] = ("joint", "alpaca_eval_minimal")
    for name, world in WORLDS.items():
        for method in methods:
            out = coverage(world, tables, method=method)
            print(
                f"| {name} | {method} | {out.arms:.1f} | {out.contrasts:.1f} | {out.bias:+.2f} | {out.spread:.2f} "
                f"| {out.claimed:.2f} |",
                flush=True,
            )


def speed() -> None:
    levels = tuple(np.linspace(-1.5, 1.5, 10))
    world = World(805, levels, (1.0,) * 10, (0.2,) * 10)
    table = world.table(np.random.default_rng(0))
    began, cpu = time.monotonic(), time.process_time()
    length_controlled(table, resamples=500)
    spent = time.process_time() - cpu
    print(f"10 arms x 805 prompts x 500 resamples: {time.monotonic() - began:.1f} s, CPU {spent:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = parser.add_subparsers(required=True)
    one = cases.add_parser("peer")
    one.add_argument("folder", type=Path)
    one.add_argument("--labels", type=Path)
    one.set_defaults(run=lambda given: compare(given.folder, given.labels))
    two = cases.add_parser("coverage")
    two.add_argument("--tables", type=int, default=400)
    two.set_defaults(run=lambda given: cover(given.tables))
    three = cases.add_parser("speed")
    three.set_defaults(run=lambda _: speed())
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
