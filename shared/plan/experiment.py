"""A whole experiment's plan. Pure: the same resolved spec, the same plan."""

from __future__ import annotations

from typing import Any

from shared.bandit import KIND, is_bandit, parse_bandit
from shared.plan.battles import own_stages, plan_battles, with_battles
from shared.plan.beside import TEACHER, Beside, judged_beside, nulls_beside
from shared.plan.builder import PlanBuilder
from shared.plan.cells import CellPlan, always, plan_beside
from shared.plan.critics import critic_params, critics_of
from shared.plan.gold import plan_gold
from shared.plan.model import Plan, Stage, stage_key
from shared.plan.report import judging_params, report_params
from shared.plan.tuning import of_own_seed
from shared.spec.matrix import cells, in_cell
from shared.spec.model import Arm, Spec
from shared.spec.parse import start_arms
from shared.spec.resolve import Resolved


def plan(resolved: Resolved) -> Plan:
    """The stages of an experiment and their keys; the cells of a matrix share what is the same in them."""
    if is_bandit(resolved.spec):
        return _plan_bandit(resolved)
    spec = resolved.parsed
    build = PlanBuilder(spec, resolved)
    drawn = [_plan_cell(build, name, cell) for name, cell in cells(spec).items()]
    inputs = {name: key for cell in drawn for name, key in cell.inputs.items()}
    tables: dict[str, dict[str, Any]] = {}
    judging = judging_params(spec)
    for cell in drawn:
        stages_of = _stages_of_arms(build, cell)
        table = report_params(
            resolved,
            cell.spec,
            cell.starts,
            cell.scores,
            cell.dev_scores,
            cell.training,
            stages_of,
            _recipes(build, cell),
            build.stages,
            plan_gold(build, cell),
            judging,
        )
        inputs |= cell.gold
        tables[cell.name] = with_battles(table, cell)
    if spec.critic_check is not None:
        for name in critics_of(spec):
            build.check(name, spec.critic_check.labels, spec.critic_check.split)
    inputs |= {f"stage/{key}": key for key in build.stages}
    params = tables[""] if spec.matrix is None else {"cells": tables}
    params |= {"spec": resolved.spec, "critics": critic_params(spec, build.stages)}
    report = build.add("report", params, inputs)
    build.stages[report].arms.extend(in_cell(cell.name, arm) for cell in drawn for arm in cell.order)
    return Plan(build.stages, report)


def _plan_bandit(resolved: Resolved) -> Plan:
    """A stage for each seed, and the report."""
    spec = parse_bandit(resolved.spec)
    settings = spec.bandit.model_dump(mode="json")
    stages: dict[str, Stage] = {}

    def add(kind: str, params: dict[str, Any], inputs: dict[str, str]) -> str:
        key = stage_key(kind, params, inputs)
        stages[key] = Stage(key, kind, params, inputs, {})
        return key

    drawn = {f"bandit/{seed}": add("bandit", {"settings": settings, "seed": seed}, {}) for seed in spec.seeds}
    params = {"kind": KIND, "settings": settings, "seeds": spec.seeds, "spec": resolved.spec}
    return Plan(stages, add("report", params, drawn))


def _plan_cell(build: PlanBuilder, name: str, spec: Spec) -> CellPlan:
    """Add the stages of a cell's arms; each start's before those of its RL arm."""
    build, starts = build.within(spec), start_arms(spec)
    order = list(dict.fromkeys(found for arm in spec.arms for found in (starts.get(arm), arm) if found))
    cell = CellPlan(name, spec, starts, order)
    done: set[str] = set()
    for arm_name, arm in spec.arms.items():
        recipes = [(starts[arm_name], arm.model_copy(update={"rl": None}))] if arm_name in starts else []
        for one, recipe in [*recipes, (arm_name, arm)]:
            if one not in done:
                done.add(one)
                _plan_arm(build, cell, one, recipe)
    unjudged = [Beside(TEACHER, model) for model in build.resolved.unjudged]
    beside = {arm: who for arm, who in judged_beside(spec).items() if who not in unjudged}
    for one, who in {**beside, **nulls_beside(spec)}.items():
        plan_beside(build, cell, one, who)
    plan_battles(build, cell, [*cell.order, *beside])
    judged = {row["arm"] for row in cell.scores} | {arm for row in cell.battles for arm in (row["a"], row["b"])}
    cell.order.extend(arm for arm in beside if arm in judged)
    return cell


def _plan_arm(build: PlanBuilder, cell: CellPlan, name: str, arm: Arm) -> None:
    """One arm's stages for every seed."""
    spec, where = cell.spec, in_cell(cell.name, name)
    for seed in spec.seeds:
        steps = build.steps(arm, seed)
        trained = build.trained(arm, seed, steps)
        for step, key in steps.items():
            source = f"train/{where}/{seed}/{step}"
            cell.training.append({"arm": name, "seed": seed, "step": step.partition("-")[0], "input": source})
            cell.inputs[source] = key
        cell.judge(build, name, seed, always(trained))


def _stages_of_arms(build: PlanBuilder, cell: CellPlan) -> dict[str, list[str]]:
    """The stages that each arm of a cell would need alone; every one of them learns that this arm needs it."""
    drawn = Plan(build.stages, "")
    wanted: dict[str, list[str]] = {arm: [] for arm in cell.order}
    battles = {row["evaluation"] for row in cell.battles}
    for row in [*cell.scores, *cell.dev_scores, *cell.training]:
        if row.get("evaluation") not in battles:
            wanted.setdefault(row["arm"], []).append(cell.inputs[row["input"]])
    found = {arm: drawn.ancestors(keys) for arm, keys in wanted.items()}
    for arm, more in own_stages(drawn, cell).items():
        needed = more.union(found[arm])
        found[arm] = [key for key in build.stages if key in needed]
    for arm, keys in found.items():
        for key in keys:
            build.stages[key].arms.append(in_cell(cell.name, arm))
    return found


def _recipes(build: PlanBuilder, cell: CellPlan) -> dict[str, list[list[str]]]:
    """For every arm, the stages that make its model, a list a seed; evaluation is not among them."""
    trained: dict[tuple[str, int], list[str]] = {}
    for row in cell.training:
        trained.setdefault((row["arm"], row["seed"]), []).append(cell.inputs[row["input"]])
    drawn = Plan(build.stages, "")
    made = of_own_seed(drawn, (keys[-1] for keys in trained.values()))
    recipes: dict[str, list[list[str]]] = {}
    for ((arm, _), keys), stages in zip(trained.items(), made, strict=True):
        # What picks among samples is made beside the model, not before it.
        apart = not set(keys) <= set(stages)
        recipes.setdefault(arm, []).append(drawn.ancestors(keys) if apart else stages)
    return recipes
