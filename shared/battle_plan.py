"""The stages in which arms are judged against each other, and what of them an arm would need alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.matrix import in_cell
from shared.specparse import evaluation_names

if TYPE_CHECKING:
    from shared.plan import Plan, PlanBuilder, _CellPlan


def plan_battles(build: PlanBuilder, cell: _CellPlan) -> None:
    """Add the stages of a cell's pairs of arms, for every seed, once all of its arms are there.

    A head-to-head comparison scores both arms, the second one by the first's rows mirrored; an arena scores none, and
    the report rates its arms from all pairs together.
    """
    for full, (entry, temperature) in evaluation_names(cell.spec).items():
        evaluation = cell.spec.evaluations[entry]
        if not evaluation.together:
            continue
        for seed, trained in cell.trained.items():
            arms = {name: trained[name] for name in cell.order}
            for (a, b), key in evaluation.plan_together(build, arms, temperature).items():
                source = f"battle/{in_cell(cell.name, a)}/{b}/{seed}/{full}"
                cell.battles.append({"a": a, "b": b, "seed": seed, "evaluation": full, "input": source})
                cell.inputs[source] = key
                if not evaluation.pooled:
                    _score_both(cell, (a, b), seed, full, key)


def _score_both(cell: _CellPlan, pair: tuple[str, str], seed: int, evaluation: str, key: str) -> None:
    for arm in pair:
        source = f"judge/{in_cell(cell.name, arm)}/{seed}/{evaluation}"
        row = {"arm": arm, "seed": seed, "evaluation": evaluation, "input": source}
        cell.scores.append(row if arm == pair[0] else {**row, "mirrored": True})
        cell.inputs[source] = key


def own_stages(plan: Plan, cell: _CellPlan) -> dict[str, set[str]]:
    """For each arm, the stages of its battles but for those that make its opponents: what it costs is its own.

    Judging two arms against each other is counted with both.
    """
    keys = list(dict.fromkeys(cell.inputs[row["input"]] for row in cell.battles))
    sides = {key: (plan.stages[key].inputs["samples"], plan.stages[key].inputs["reference"]) for key in keys}
    samples = list(dict.fromkeys(one for both in sides.values() for one in both))
    made = {key: set(needed) for key, needed in zip(samples, plan.ancestors_of_each(samples), strict=True)}
    judged = {key: set(needed) for key, needed in zip(keys, plan.ancestors_of_each(keys), strict=True)}
    found: dict[str, set[str]] = {}
    for row in cell.battles:
        key = cell.inputs[row["input"]]
        of_a, of_b = sides[key]
        for arm, own, other in ((row["a"], of_a, of_b), (row["b"], of_b, of_a)):
            found.setdefault(arm, set()).update(made[own] | (judged[key] - made[other]))
    return found
