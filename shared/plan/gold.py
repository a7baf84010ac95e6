"""The stages that give the primary evaluation its gold labels: recorded pairs, or a check in the judge's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.gold import gold_of
from shared.spec.matrix import in_cell
from shared.spec.parse import contrasts

if TYPE_CHECKING:
    from shared.plan.builder import PlanBuilder
    from shared.plan.cells import CellPlan


def plan_gold(build: PlanBuilder, cell: CellPlan) -> dict[str, Any]:
    """Add them to a cell's plan, and say where the report finds them; nothing where the spec names no gold labels.

    A check looks at the same samples and reference as the judge does, of the primary contrast's arms alone.
    """
    spec = cell.spec
    if (found := gold_of(spec)) is None:
        return {}
    entry, temperature, gold = found
    if spec.models[gold.labels].records_preferences:
        source = in_cell(cell.name, "gold/pairs")
        cell.gold[source] = build.every_label(gold.labels)
        return {"pairs": source}
    checked = spec.evaluations[entry].model_copy(update={"judge": gold.labels})
    scores = []
    for arm in contrasts(spec)[spec.primary.contrast]:
        for seed in spec.seeds:
            source = f"gold/{in_cell(cell.name, arm)}/{seed}"
            cell.gold[source] = checked.plan(build, cell.primary[arm, seed], temperature)
            scores.append({"arm": arm, "seed": seed, "evaluation": spec.primary.evaluation, "input": source})
    return {"scores": scores}
