"""The stages in which arms are judged against each other, and what of them an arm would need alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.plan.evaluated import evaluation_names
from shared.spec.matrix import in_cell

if TYPE_CHECKING:
    from shared.plan.builder import PlanBuilder
    from shared.plan.cells import CellPlan
    from shared.plan.model import Plan


def plan_battles(build: PlanBuilder, cell: CellPlan, order: Sequence[str]) -> None:
    """Add the stages of a cell's pairs of arms (and of who is judged beside them) in their order, for every seed.

    A head-to-head comparison scores both arms, the second one by the first's rows mirrored; an arena scores none, and
    the report rates its arms from all pairs together.
    """
    for full, (entry, temperature) in evaluation_names(cell.spec).items():
        evaluation = cell.spec.evaluations[entry]
        if not evaluation.together:
            continue
        for seed, players in cell.players.items():
            found = {name: players[name](entry, temperature) for name in order}
            arms = {name: arm for name, arm in found.items() if arm is not None}
            for (a, b), key in evaluation.plan_together(build, arms, temperature).items():
                source = f"battle/{in_cell(cell.name, a)}/{b}/{seed}/{full}"
                cell.battles.append({"a": a, "b": b, "seed": seed, "evaluation": full, "input": source})
                cell.inputs[source] = key
                if not evaluation.pooled:
                    _score_both(cell, (a, b), seed, full, key)


def _score_both(cell: CellPlan, pair: tuple[str, str], seed: int, evaluation: str, key: str) -> None:
    for arm in pair:
        source = f"judge/{in_cell(cell.name, arm)}/{seed}/{evaluation}"
        row = {"arm": arm, "seed": seed, "evaluation": evaluation, "input": source}
        cell.scores.append(row if arm == pair[0] else {**row, "mirrored": True})
        cell.inputs[source] = key


def with_battles(table: Mapping[str, Any], cell: CellPlan) -> dict[str, Any]:
    """A report's params with the battles, and with who fought in each evaluation that has some."""
    if not cell.battles:
        return dict(table)
    fought: dict[str, dict[str, None]] = {}
    for row in cell.battles:
        fought.setdefault(row["evaluation"], {}).update({row["a"]: None, row["b"]: None})
    evaluations = dict(table["evaluations"])
    for name, arms in fought.items():
        pooled = cell.spec.evaluations[evaluation_names(cell.spec)[name][0]].pooled
        evaluations[name] = {**evaluations[name], "arms": list(arms), "pooled": pooled}
    return {**table, "evaluations": evaluations, "battles": cell.battles}


def own_stages(plan: Plan, cell: CellPlan) -> dict[str, set[str]]:
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
