"""Both kinds of length control beside the published ones: AlpacaEval 2's leaderboard, recomputed from its own labels.

Run it: `python -m benchmarks.length_leaderboard CHECKOUT`, with a checkout of tatsu-lab/alpaca_eval (its labels are CC
BY-NC). Published figures use a file of prompts' difficulties and shrink every model to a baseline, which neither of
ours does, so they are no truth: but a method without that file should come near them, and `length_controlled_minimal`
does not.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.length_control import Labels, ours
from services.analyst.intervals import Floats
from services.analyst.length_control import LengthTable, joint
from services.analyst.preferences import wins

ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"
LEADERBOARD = Path("src/alpaca_eval/leaderboards/data_AlpacaEval_2") / f"{ANNOTATOR}_leaderboard.csv"


def published(checkout: Path) -> dict[str, float]:
    """Length-controlled win rates by model, in percent."""
    rows = csv.DictReader((checkout / LEADERBOARD).open())
    return {row[""]: float(row["length_controlled_winrate"]) for row in rows if row["length_controlled_winrate"]}


def labels(checkout: Path, models: list[str]) -> dict[str, Labels]:
    """The labels of those models that are there, on the prompts that all of them have, in one order."""
    found = {}
    for model in models:
        path = checkout / "results" / model / ANNOTATOR / "annotations.json"
        if path.exists():
            found[model] = {row["instruction"]: row for row in json.loads(path.read_text())}
    common = sorted(set.intersection(*(set(rows) for rows in found.values())))
    return {
        model: Labels(
            [rows[one]["preference"] for one in common],
            [len(rows[one]["output_1"]) for one in common],
            [len(rows[one]["output_2"]) for one in common],
        )
        for model, rows in found.items()
    }


def joint_figures(given: dict[str, Labels]) -> Floats:
    """One joint fit of all models; the first one's reference lengths are everyone's."""
    table = LengthTable.of(
        list(given),
        np.stack([wins(one.preference) for one in given.values()]),
        np.array([one.length_2 for one in given.values()]),
        next(iter(given.values())).length_1,
    )
    one = np.ones((1, table.prompts))
    return np.asarray(joint.figures(table, one, joint.fit(table, one, joint.start(table)))[0, :, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    checkout = parser.parse_args().checkout
    expected = published(checkout)
    given = labels(checkout, list(expected))
    theirs = np.array([expected[model] for model in given])
    began = time.monotonic()
    found = {"joint": joint_figures(given)}
    spent = time.monotonic() - began
    print(f"{len(given)} models x {len(next(iter(given.values())).preference)} prompts, joint fit in {spent:.1f} s\n")
    found["alpaca_eval_minimal"] = np.array([ours(one) for one in given.values()])
    found["raw"] = np.array([100 * np.nanmean(wins(one.preference)) for one in given.values()])
    print("| | mean distance | farthest | mean difference | rank correlation |\n|---|---|---|---|---|")
    for name, figures in found.items():
        apart = figures - theirs
        far, ranks = np.abs(apart), np.corrcoef(figures.argsort().argsort(), theirs.argsort().argsort())[0, 1]
        print(f"| {name} | {far.mean():.2f} | {far.max():.1f} | {apart.mean():+.2f} | {ranks:.3f} |")


if __name__ == "__main__":
    main()
