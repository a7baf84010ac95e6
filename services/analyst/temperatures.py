"""Each arm at the temperature at which it does best on dev: chosen there alone, reported on eval.

Colder sampling alone sharpens a policy, and much of what RL gains at temperature 1 it gains by that. So arms are also
compared each at its own best temperature. The mean dev score, over seeds and the dev prompts that are validly judged at
every temperature, picks it; of equal ones the lowest does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from services.analyst.params import ReportParams, ScoreInput
from services.analyst.scores import SeedScores, align, assemble


@dataclass(frozen=True)
class Chosen:
    """An arm's choice: the evaluation at that temperature, and the mean dev score of each (None without a valid one).

    `prompts` are the dev prompts that these are means over.
    """

    evaluation: str
    temperature: float
    dev: Mapping[str, float | None]
    prompts: int


Choices = Mapping[str, Mapping[str, Chosen]]
"""By the name of the choice (`win-rate@best_on_dev`) and arm, as far as dev is judged."""
DevScores = Mapping[tuple[str, str], Mapping[int, SeedScores]]


class _Key(NamedTuple):
    score: float
    colder: float


def choose(params: ReportParams, dev: DevScores) -> dict[str, dict[str, Chosen]]:
    """Every arm's choice whose dev prompts are all judged; `dev` are scores by (arm, evaluation) and seed."""
    wanted: dict[tuple[str, str], set[int]] = {}
    for row in params.dev_scores:
        wanted.setdefault((row.arm, row.evaluation), set()).add(row.seed)
    found: dict[str, dict[str, Chosen]] = {}
    for name, evaluation in params.evaluations.items():
        for arm in params.arms:
            places = [(arm, full) for full in evaluation.best_of]
            if places and all(place in wanted and set(dev.get(place, {})) == wanted[place] for place in places):
                tables = {full: dev[arm, full] for full in evaluation.best_of}
                found.setdefault(name, {})[arm] = _chosen(params, tables)
    return found


def _chosen(params: ReportParams, tables: Mapping[str, Mapping[int, SeedScores]]) -> Chosen:
    aligned = align([assemble(full, full, of) for full, of in tables.items()])
    prompts = len(aligned.prompt_ids)
    means = aligned.values.mean(axis=(1, 2)) if prompts else np.full(len(tables), np.nan)
    dev = {full: float(mean) if prompts else None for full, mean in zip(tables, means, strict=True)}
    at = {full: params.evaluations[full].temperature or 0.0 for full in tables}
    best = max(tables, key=lambda full: _Key(dev[full] or 0.0, -at[full]))
    return Chosen(best, at[best], dev, prompts)


def with_choices(params: ReportParams, choices: Choices) -> ReportParams:
    """The params with the scores of each arm under each choice: those at the temperature that it chose.

    Who has none (a teacher, a null completion) scores the same at each.
    """
    rows = {(row.arm, row.evaluation, row.seed): row for row in params.scores}
    added: list[ScoreInput] = []
    for name, evaluation in params.evaluations.items():
        on_dev = {row.arm for row in params.dev_scores if row.evaluation in evaluation.best_of}
        for arm in dict.fromkeys(row.arm for row in params.scores if row.evaluation in evaluation.best_of):
            mine = choices.get(name, {}).get(arm)
            source = evaluation.best_of[0] if mine is None else mine.evaluation
            waits = mine is None and arm in on_dev
            for seed in params.seeds:
                row = rows[arm, source, seed]
                input = f"{row.input} once chosen" if waits else row.input
                added.append(row.model_copy(update={"evaluation": name, "input": input}))
    return params.model_copy(update={"scores": [*params.scores, *added]})
