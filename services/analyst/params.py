"""The report stage's params as typed data; `shared/report_plan.py` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ControlParams(Params):
    """A control of the arm `of`: what both have alike, and what it does otherwise."""

    kind: str
    of: str
    equal: str
    differs: str


class ArmParams(Params):
    """An arm's place among the others: the SFT model that it starts from, or the RL arms that start from it."""

    role: str | None = None
    start: str | None = None
    start_of: list[str] | None = None
    control: ControlParams | None = None


class EvaluationParams(Params):
    """One evaluation: how it was made, the unit of its scores, and why it may say less than it seems to."""

    protocol: str
    judge: str | None = None
    judge_provider: str | None = None
    reference: str | None = None
    temperature: float | None = None
    unit: str = "points"
    offline_judge: bool = False
    imitation: bool = False
    reason: str = ""

    @property
    def in_points(self) -> bool:
        """Whether scores are percentages, 0 to 100."""
        return self.unit == "points"


class ScoreInput(Params):
    """Where one arm's judgements of one seed and evaluation are."""

    arm: str
    seed: int
    evaluation: str
    input: str


class TrainingInput(Params):
    """Where one training's loss curve is; `step` is sft or rl."""

    arm: str
    seed: int
    step: str
    input: str


class PrimaryParams(Params):
    contrast: str
    evaluation: str


class DeltaParams(Params):
    """What makes a difference worth having: points, or the price of one."""

    points: float | None = None
    usd_per_point: float | None = None


class CheckParams(Params):
    eval_in_training: bool = False
    tuning_trials: dict[str, int] = {}


class RecipeParams(Params):
    """What makes an arm's model: how many train prompts it uses, and the keys of its stages, a list a seed."""

    prompts: int
    stages: list[list[str]]


class ReportParams(Params):
    """All that the report must know of the experiment besides its artifacts.

    `stages` has, for every arm, the (kind, key) of each stage it would need if it were run alone. `null_completions`
    names entries of `scores` that are no arms: completions that carry no answer, judged like an arm's. `cell` names the
    cell of a matrix that this is, and `cells` is how many it has.
    """

    spec: dict[str, Any]
    seeds: list[int]
    arms: dict[str, ArmParams]
    evaluations: dict[str, EvaluationParams]
    scores: list[ScoreInput]
    training: list[TrainingInput] = []
    contrasts: dict[str, Any]
    primary: PrimaryParams
    second_judges: list[str] = []
    delta: DeltaParams
    looks: int = 1
    checks: CheckParams = CheckParams()
    stages: dict[str, list[tuple[str, str]]] = {}
    recipes: dict[str, RecipeParams] = {}
    near_duplicates: int = 0
    null_completions: list[str] = []
    cell: str = ""
    cells: int = 1

    @property
    def decisions(self) -> int:
        """How many decisions share the 5% of misses: every look at every cell."""
        return self.looks * self.cells

    @property
    def device_hour_usd(self) -> float | None:
        """The spec's price of an hour on a device; None where it gives none."""
        price = self.spec.get("device_hour_usd")
        return None if price is None else float(price)

    @property
    def bases(self) -> int:
        """How many base models the spec trains."""
        axis = (self.spec.get("matrix") or {}).get("policies")
        return max(1, len(axis or self.spec.get("policies", ())))

    @property
    def name(self) -> str:
        return str(self.spec.get("name", ""))


def cells_of(params: Mapping[str, Any]) -> dict[str, ReportParams]:
    """The params of every cell by its name; of a report without a matrix one, under ''.

    Raises:
        ValidationError: they are not a report's.
    """
    if "cells" not in params:
        return {"": ReportParams.model_validate(params)}
    common = {"spec": params["spec"], "cells": len(params["cells"])}
    return {
        name: ReportParams.model_validate({**cell, **common, "cell": name}) for name, cell in params["cells"].items()
    }
