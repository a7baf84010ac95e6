"""Choosing among trainings on the dev prompts: the stages of every trial, and the one that names the best.

    sft or rl      one for each setting and seed; with `checkpoints`, of several states
    checkpoint     one of those states, as a stage that can be sampled like any training
    sample, judge  on the dev prompts, by one evaluation, with the seed of the training
    choose         reads all seeds' dev scores, and leaves the chosen training's files of its own seed

All seeds choose by the same scores, the mean over seeds, and so the same setting. Whatever comes after the step takes
the stage `choose` as if it were the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from shared.plan.evaluated import evaluation_names
from shared.protocols import JudgedArm
from shared.spec.sweeps import as_tried, chosen_by, is_tuned, settings
from shared.spec.swept import Swept

if TYPE_CHECKING:
    from shared.plan.builder import PlanBuilder
    from shared.plan.model import Plan, Stage

CHOOSE, CHECKPOINT = "choose", "checkpoint"
TRIAL = "trial"
"""Of a training's params: another one takes its place if it diverges, so that this ends no experiment."""
TRIED = ("checkpoints", TRIAL)
"""The params of a training that it has for being tried."""

Step = TypeVar("Step", bound=Swept)
Train = Callable[[Step, int, Mapping[str, Any]], tuple[str, str | None]]
"""Adds the training of a step with one setting, for a seed and with further params; gives its key and its start's."""


def choose(build: PlanBuilder, policy: str, step: Step, seed: int, train: Train[Step]) -> str:
    """The key of a step's training with one seed; of several trials that of the stage which chooses among them."""
    if not is_tuned(step):
        return train(step, seed, {})[0]
    found: list[dict[str, Any]] = []
    inputs: dict[str, str] = {}
    grid = settings(step)
    more = {
        **({"checkpoints": step.checkpoints} if step.checkpoints > 1 else {}),
        **({TRIAL: True} if grid[1:] else {}),
    }
    for setting in grid:
        for place in range(1, step.checkpoints + 1):
            for of in build.spec.seeds:
                training, start = train(as_tried(step, setting), of, more)
                state = training
                if step.checkpoints > 1:
                    state = build.add(CHECKPOINT, {"number": place}, {"training": training})
                inputs[f"model/{len(found)}/{of}"] = state
                inputs[f"dev/{len(found)}/{of}"] = _on_dev(build, JudgedArm(policy, of, state, start))
            told = {"checkpoint": place, "of": step.checkpoints} if step.checkpoints > 1 else {}
            found.append({"settings": setting, **told})
    patience = {} if step.patience is None else {"patience": step.patience}
    return build.add(CHOOSE, {"seed": seed, "seeds": build.spec.seeds, "trials": found, **patience}, inputs)


def _on_dev(build: PlanBuilder, arm: JudgedArm) -> str:
    entry, temperature = evaluation_names(build.cell)[chosen_by(build.cell)]
    return build.cell.evaluations[entry].plan(build.on("dev"), arm, temperature)


def judged_on_dev(stages: Iterable[Stage]) -> set[str]:
    """The stages that judged trials, and nothing else of anybody."""
    choices = (stage for stage in stages if stage.kind == CHOOSE)
    return {key for stage in choices for name, key in stage.inputs.items() if name.startswith("dev/")}


def of_own_seed(plan: Plan, keys: Iterable[str]) -> list[list[str]]:
    """For each of `keys` the stages that make its model, inputs first; of what was chosen for all seeds together, the
    trials with its own seed. What it takes grows with the answer, not with the plan."""
    place = {key: number for number, key in enumerate(plan.stages)}
    return [sorted(_needed(plan, key), key=place.__getitem__) for key in keys]


def _needed(plan: Plan, key: str) -> set[str]:
    needed: set[str] = set()
    todo = [key]
    while todo:
        one = todo.pop()
        if one not in needed:
            needed.add(one)
            todo.extend(_own_inputs(plan.stages[one]))
    return needed


def _own_inputs(stage: Stage) -> Iterable[str]:
    if stage.kind != CHOOSE:
        return stage.inputs.values()
    return [key for name, key in stage.inputs.items() if name.rpartition("/")[2] == str(stage.params["seed"])]


def trainings_of(plan: Plan, key: str) -> list[str]:
    """The trainings with its own seed that a stage `choose` chooses among, each once; of any other stage itself."""
    stage = plan.stages[key]
    if stage.kind == CHECKPOINT:
        return [stage.inputs["training"]]
    if stage.kind != CHOOSE:
        return [key]
    models = (stage.inputs[f"model/{number}/{stage.params['seed']}"] for number in range(len(stage.params["trials"])))
    return list(dict.fromkeys(one for model in models for one in trainings_of(plan, model)))


def tried_again(plan: Plan, keys: Iterable[str]) -> list[str]:
    """Of some stages, the trainings that repeat another one on the same rows: all trials of a step but the first."""
    found = (trainings_of(plan, key)[1:] for key in keys if plan.stages[key].kind == CHOOSE)
    return list(dict.fromkeys(key for of in found for key in of))
