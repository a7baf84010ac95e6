"""The paper's own numbers, read as Touchstone would: a worked example of the contrasts and the verdict.

Shows, for every base model in figures 2, 4 and 5 of Sharma et al. 2024 (arXiv 2402.12366), the headline, added, gain
and vanishing contrasts with 95% intervals, vanishing in log-odds too, and the level that the verdict's rules give.

Run it: `python examples/paper_results.py FILE [--delta 2] [--correlation 0] [--prompts 805]`, with FILE a
`paper_results.json`: figures by name, in each the base models, in each the arms as [win rate, standard error] in
percent. Costs nothing.

Only marginal standard errors were published: how far arms judged on the same prompts go together is not. Intervals
here *assume* the correlation that is given; those of an experiment of yours need not. One run an arm, so every level
is about the paper's checkpoints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.analyst.contrasts import Contrast, ContrastResult, parse_contrasts
from services.analyst.marginals import Marginal, contrast_of
from services.analyst.verdict import Checks, Verdict, decide
from services.analyst.wording import number

ARMS = {
    "sft_weak_full": "sft-weak",
    "sft_weak_subset": "start-weak",
    "rlaif_weak": "rlaif-weak",
    "sft_strong_full": "sft-strong",
    "sft_strong_subset": "start-strong",
    "rlaif_strong": "rlaif-strong",
}
"""The paper's arms by the names of Touchstone's."""
CONTRASTS = parse_contrasts(
    {
        "headline": ["rlaif-weak", "sft-strong"],
        "added": ["rlaif-strong", "sft-strong"],
        "gain-weak": ["rlaif-weak", "start-weak"],
        "gain-strong": ["rlaif-strong", "start-strong"],
        "vanishing": [["rlaif-weak", "start-weak"], ["rlaif-strong", "start-strong"]],
    }
)
PRIMARY = ("headline", "added")
"""What a figure's level is made from: the first of these that it has the arms for."""
SAME_CRITIC = {"figure_2": "figure_5", "figure_4": "appendix_figure_1"}
"""The figure with the weak starts, and the one with the strong starts under the same critic."""

Figure = Mapping[str, Mapping[str, Marginal]]
"""Arms by base model."""


@dataclass(frozen=True)
class Row:
    """One base model in one figure: its contrasts, and the verdict where it has a primary one."""

    figure: str
    base: str
    results: tuple[ContrastResult, ...]
    verdict: Verdict | None


def read(path: Path) -> dict[str, Figure]:
    """The figures that have arms by base model, by their number (`figure_2`, `appendix_figure_1`).

    Raises:
        OSError, ValueError: not a file, or not JSON; or none of its figures has such arms.
    """
    found: dict[str, Figure] = {}
    for name, content in json.loads(path.read_text()).items():
        figure = {base: _arms(arms) for base, arms in content.items()} if isinstance(content, dict) else {}
        if figure and all(figure.values()):
            found["_".join(name.split("_")[: 3 if name.startswith("appendix") else 2])] = figure
    if not found:
        raise ValueError(f"{path}: no figure has base models with arms as [win rate, standard error]")
    return found


def _arms(arms: Any) -> dict[str, Marginal]:
    if not isinstance(arms, dict):
        return {}
    return {ARMS[name]: Marginal(*map(float, pair)) for name, pair in arms.items() if name in ARMS}


def rows(figures: Mapping[str, Figure], delta: float, correlation: float, prompts: int) -> Iterator[Row]:
    """Every base model of every figure, and the vanishing contrasts across figures of the same critic."""

    def made(contrast: Contrast, arms: Mapping[str, Marginal], figure: str) -> ContrastResult:
        where = f"{figure.replace('_', ' ')} (correlation {correlation:g} assumed)"
        return contrast_of(contrast, arms, where, prompts, correlation)

    for figure, bases in figures.items():
        for base, arms in bases.items():
            there = [contrast for contrast in CONTRASTS.values() if set(contrast.arms) <= set(arms)]
            results = tuple(made(contrast, arms, figure) for contrast in there)
            primary = next((one for name in PRIMARY for one in results if one.contrast.name == name), None)
            yield Row(figure, base, results, decide(primary, delta, Checks()) if primary else None)
    for weak, strong in SAME_CRITIC.items():
        both = figures.get(weak, {}), figures.get(strong, {})
        for base in both[0]:
            arms = {**both[0][base], **both[1].get(base, {})}
            if set(CONTRASTS["vanishing"].arms) <= set(arms):
                yield Row(
                    f"{weak} and {strong}", base, (made(CONTRASTS["vanishing"], arms, f"{weak} and {strong}"),), None
                )


def lines(figures: Mapping[str, Figure], delta: float, correlation: float, prompts: int) -> Iterator[str]:
    """What is printed."""
    yield (
        f"Assumed, because only marginal standard errors were published: a correlation of {correlation:g} between "
        f"arms. {prompts} prompts; delta {number(delta)} points."
    )
    figure = ""
    for row in rows(figures, delta, correlation, prompts):
        if row.figure != figure:
            figure = row.figure
            yield f"\n{row.results[0].evaluation}"
        level = f": {row.verdict.level} by {row.verdict.contrast}" if row.verdict else ""
        yield f"  {row.base}{level}"
        for result in row.results:
            yield f"    {result.contrast.name:12} {_points(result)}"
            if result.contrast.name == "vanishing" and result.log_odds is not None:
                low, high = (number(end, 2) for end in result.log_odds.interval)
                yield f"    {'in log-odds':12} {number(result.log_odds.estimate, 2):>6} ({low} to {high})"


def _points(result: ContrastResult) -> str:
    low, high = (number(end) for end in result.interval)
    return f"{number(result.estimate):>6} ({low} to {high})   {result.contrast.formula}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a paper_results.json")
    parser.add_argument("--delta", type=float, default=2.0, help="points that would make RL worth it")
    parser.add_argument("--correlation", type=float, default=0.0, help="between two arms' means, assumed")
    parser.add_argument("--prompts", type=int, default=805, help="AlpacaEval has 805")
    options = parser.parse_args()
    try:
        for line in lines(read(options.file), options.delta, options.correlation, options.prompts):
            print(line)
    except (OSError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
