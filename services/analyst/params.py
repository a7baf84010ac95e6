"""The report stage's params as typed data; `shared/plan/report.py` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from shared.scales import OF_TEN, POINTS, Scale, scale_of


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ControlParams(Params):
    """A control of the arm `of`: what both have alike, and what it does otherwise."""

    kind: str
    of: str
    equal: str
    differs: str


class ArmParams(Params):
    """An arm's place among the others: the SFT model that it starts from, or the RL arms that start from it.

    `of` is set of who is judged beside the recipes (`role` base or teacher): the policy or model that it is."""

    role: str | None = None
    of: str | None = None
    start: str | None = None
    start_of: list[str] | None = None
    control: ControlParams | None = None


class EvaluationParams(Params):
    """One evaluation: how it was made, the unit of its scores, and why it may say less than it seems to.

    `best_of` has the evaluations, one a temperature, from which each arm's best on dev is this one. `arms` is set where
    arms were judged against each other, and names them. `pooled` says that an arm's figure is made from all comparisons
    together (a rating), and is no mean of scores by prompt. `raw` names the evaluation whose judgements a
    length-controlled one takes, where the spec has it. `method` says what scores where no judge does.
    """

    protocol: str
    judge: str | None = None
    judge_provider: str | None = None
    reference: str | None = None
    temperature: float | None = None
    best_of: list[str] = []
    unit: str = POINTS
    offline_judge: bool = False
    imitation: bool = False
    reason: str = ""
    method: str = ""
    arms: list[str] | None = None
    pooled: bool = False
    length_controlled: Literal["joint", "alpaca_eval_minimal"] | None = None
    raw: str | None = None

    @property
    def alpaca_eval(self) -> bool:
        """Whether its scores are AlpacaEval's preferences."""
        return self.protocol == "alpaca_eval"

    @property
    def sampled(self) -> bool:
        """Whether completions are judged."""
        return self.temperature is not None or bool(self.best_of)

    @property
    def alone(self) -> bool:
        """Whether completions are scored without any other beside them."""
        return bool(self.method) or self.unit == OF_TEN

    @property
    def in_points(self) -> bool:
        """Whether scores are percentages, 0 to 100."""
        return self.unit == POINTS

    @property
    def scale(self) -> Scale:
        """How its numbers are read."""
        return scale_of(self.unit)

    @property
    def head_to_head(self) -> bool:
        """Whether two arms were judged against each other, so that their scores add up to 100."""
        return self.arms is not None and not self.pooled


class ScoreInput(Params):
    """Where one arm's judgements of one seed and evaluation are; `mirrored` ones are written as its opponent's."""

    arm: str
    seed: int
    evaluation: str
    input: str
    mirrored: bool = False


class BattleInput(Params):
    """Where the judgements of arm a against arm b are, of one seed and evaluation."""

    a: str
    b: str
    seed: int
    evaluation: str
    input: str


class TrainingInput(Params):
    """Where one training's loss curve is; `step` is sft or rl, or reward of a reward model."""

    arm: str
    seed: int
    step: str
    input: str


class PrimaryParams(Params):
    contrast: str
    evaluation: str


class DeltaParams(Params):
    """What makes a difference worth having: points, or the price of one, or a score in the primary's own unit."""

    points: float | None = None
    usd_per_point: float | None = None
    score: float | None = None

    @property
    def given(self) -> float | None:
        """In the primary's unit; None where costs decide."""
        return self.points if self.score is None else self.score


class CheckParams(Params):
    eval_in_training: bool = False
    tuning_trials: dict[str, int] = {}


class TuningParams(Params):
    """By which evaluation's dev scores settings were chosen."""

    evaluation: str


class RecipeParams(Params):
    """What makes an arm's model: how many train prompts it uses, and the keys of its stages, a list a seed; and of how
    many samples each of its answers is the best.

    `trials` were made on dev; `tried_again` are trainings on rows that an earlier trial of the same step had."""

    prompts: int
    stages: list[list[str]]
    samples: int = 1
    trials: int = 0
    tried_again: list[str] = []


class GoldParams(Params):
    """Gold labels of the primary evaluation: recorded `pairs`, or `scores` of the primary's arms by a check."""

    labels: str
    n: int
    arms: list[str]
    pairs: str | None = None
    scores: list[ScoreInput] = []


class DeclaredParams(Params):
    """A stage that read recorded data: the model's name in the spec, and what it would have cost (DeclaredPrice)."""

    model: str
    price: dict[str, float]


class ReportParams(Params):
    """All that the report must know of the experiment besides its artifacts.

    `stages` has, for every arm, the (kind, key) of each stage it would need if it were run alone. `null_completions`
    names entries of `scores` that are no arms: completions that carry no answer, judged like an arm's on `null_prompts`
    prompts. `another_family` says whether a judge of another family than the primary's is asked the same (None: that
    has no judge), `judge_families` what they are by judge. `unjudged` are teachers whose completions leave out eval
    prompts. `declared` has the stages whose recorded data have a declared price, by key. `cell` names the cell of a
    matrix that this is, and `cells` is how many it has.
    """

    spec: dict[str, Any]
    seeds: list[int]
    arms: dict[str, ArmParams]
    evaluations: dict[str, EvaluationParams]
    scores: list[ScoreInput]
    battles: list[BattleInput] = []
    dev_scores: list[ScoreInput] = []
    training: list[TrainingInput] = []
    contrasts: dict[str, Any]
    primary: PrimaryParams
    second_judges: list[str] = []
    another_family: bool | None = None
    judge_families: dict[str, str] = {}
    delta: DeltaParams
    looks: int = 1
    checks: CheckParams = CheckParams()
    stages: dict[str, list[tuple[str, str]]] = {}
    recipes: dict[str, RecipeParams] = {}
    near_duplicates: int = 0
    null_completions: list[str] = []
    gold: GoldParams | None = None
    declared: dict[str, DeclaredParams] = {}
    tuning: TuningParams | None = None
    null_prompts: int = 0
    unjudged: list[str] = []
    cell: str = ""
    cells: int = 1

    @property
    def expected(self) -> frozenset[tuple[str, str]]:
        """The arms and evaluations that there will be scores of."""
        return frozenset((row.arm, row.evaluation) for row in self.scores)

    @property
    def figures(self) -> frozenset[tuple[str, str]]:
        """The arms and evaluations that there will be a score or a rating of."""
        pooled = {name: one.arms or () for name, one in self.evaluations.items() if one.pooled}
        return self.expected | {(arm, name) for name, arms in pooled.items() for arm in arms}

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
