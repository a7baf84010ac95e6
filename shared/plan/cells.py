"""One cell of a plan: its arms, who is judged beside them, and where the report finds their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from shared.plan.beside import Beside, is_judged
from shared.plan.evaluated import evaluation_names
from shared.protocols import JudgedArm
from shared.spec.matrix import in_cell
from shared.spec.model import Spec

if TYPE_CHECKING:
    from shared.plan.builder import PlanBuilder

ArmAt = Callable[[str, float | None], JudgedArm | None]
"""What an arm is under an entry of `evaluations` at a temperature; None where that judges it not."""


def always(arm: JudgedArm) -> ArmAt:
    """The same arm whatever judges it."""
    return lambda entry, temperature: arm


@dataclass
class CellPlan:
    """One cell's arms in their order, starts included, and where the report finds their scores and training curves.

    `players` are who can be judged against each other, by seed and name; `battles` are the pairs that are. `primary`
    has who is judged under the primary evaluation, by arm and seed; `gold` where its gold labels are.
    """

    name: str
    spec: Spec
    starts: dict[str, str]
    order: list[str]
    scores: list[dict[str, Any]] = field(default_factory=list)
    dev_scores: list[dict[str, Any]] = field(default_factory=list)
    training: list[dict[str, Any]] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    primary: dict[tuple[str, int], JudgedArm] = field(default_factory=dict)
    gold: dict[str, str] = field(default_factory=dict)
    players: dict[int, dict[str, ArmAt]] = field(default_factory=dict)
    battles: list[dict[str, Any]] = field(default_factory=list)

    def judge(self, build: PlanBuilder, name: str, seed: int, arm: ArmAt) -> None:
        """Add the stages that judge who is called `name`, where `arm` says what they are at a temperature, if judged.

        A model is judged on dev too where its temperature is chosen there; completions that are no model's have none.
        """
        self.players.setdefault(seed, {})[name] = arm
        for full, (entry, temperature) in evaluation_names(self.spec).items():
            evaluation = self.spec.evaluations[entry]
            if evaluation.together or (found := arm(entry, temperature)) is None:
                continue
            if full == self.spec.primary.evaluation:
                self.primary[name, seed] = found
            self._note(self.scores, "judge", name, seed, full, evaluation.plan(build, found, temperature))
            if evaluation.best_on_dev and found.completions is None:
                key = evaluation.plan(build.on("dev"), found, temperature)
                self._note(self.dev_scores, "dev", name, seed, full, key)

    def _note(self, rows: list[dict[str, Any]], sort: str, arm: str, seed: int, evaluation: str, stage: str) -> None:
        """Say where an arm's scores will be."""
        source = f"{sort}/{in_cell(self.name, arm)}/{seed}/{evaluation}"
        rows.append({"arm": arm, "seed": seed, "evaluation": evaluation, "input": source})
        self.inputs[source] = stage


def plan_beside(build: PlanBuilder, cell: CellPlan, name: str, who: Beside) -> None:
    """Who is judged beside the arms. What depends on no seed is one stage, shown under each."""
    spec = cell.spec

    def arm(seed: int, entry: str, temperature: float | None) -> JudgedArm | None:
        if not is_judged(who, spec.evaluations[entry]):
            return None
        return build.beside(who, spec.seeds[0] if temperature == 0 else seed)

    for seed in spec.seeds:
        cell.judge(build, name, seed, partial(arm, seed))
