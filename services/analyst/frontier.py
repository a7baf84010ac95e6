"""Cost against quality: what each arm's model costs to make, which arms no other beats, and what a gain is worth.

Costs are those of one model (the mean over seeds) without evaluation and without the base model's own making: dollars
paid to endpoints, device hours at the spec's price of one where it gives one, and recorded data at the price that the
spec declares for it, which nobody paid; without one they cost nothing.

    alone      every stage at full price, as if no other arm were run
    marginal   the stages that no other arm of the experiment needs; an RL arm and its start count as one
    reusable   of `alone`, what another base model could use again: demonstrations. Labels of a policy's own samples
               and training cannot be; recorded labels cost nothing
    spread     (alone - reusable) + reusable / B, with B base models in the spec
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from services.analyst.contrasts import ContrastResult
from services.analyst.params import ReportParams
from shared.scales import POINTS

REUSABLE = "teach"
"""The kind of stage whose rows depend on no base model."""
MADE_ONCE = frozenset({"prompts", "pretrain"})


class Stage(Protocol):
    """What is asked of a committed stage (`model.StageFacts`)."""

    @property
    def kind(self) -> str: ...

    @property
    def usd(self) -> float: ...

    @property
    def device_seconds(self) -> float: ...

    @property
    def declared_usd(self) -> float: ...


@dataclass(frozen=True)
class Price:
    """What one model of an arm costs, in US dollars. Of `alone`, `calls` was paid to endpoints, and `declared` is what
    recorded data would have cost; `hours` are unpriced."""

    alone: float
    marginal: float
    reusable: float
    spread: float
    calls: float
    device_hours: float
    declared: float = 0.0


@dataclass(frozen=True)
class Point:
    """An arm on the plane of cost and score. `on_frontier`: none is as cheap and as good, and better in one of both."""

    arm: str
    price: Price
    estimate: float
    interval: tuple[float, float]
    on_frontier: bool


@dataclass(frozen=True)
class Net:
    """Points times what one is worth, less what A costs more than B to make, in US dollars for one model."""

    contrast: str
    usd_per_point: float
    extra_cost: float
    estimate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Frontier:
    """`device_hour_usd` is None where the spec prices no hours; `bases` is how many base models it names."""

    evaluation: str
    device_hour_usd: float | None
    bases: int
    points: tuple[Point, ...]
    nets: tuple[Net, ...] = ()
    unit: str = POINTS


def prices(params: ReportParams, stages: Mapping[str, Stage]) -> dict[str, Price]:
    """The price of every arm whose stages are all there."""
    found = {}
    for arm, recipe in params.recipes.items():
        runs = [frozenset(keys) for keys in recipe.stages]
        if runs and all(key in stages for keys in runs for key in keys):
            others = _stages_of_others(params, arm)
            found[arm] = _price([[stages[key] for key in keys] for keys in runs], runs, others, stages, params)
    return found


def _stages_of_others(params: ReportParams, arm: str) -> frozenset[str]:
    """The stages that arms need which are neither this one, its start, nor started from it."""
    own = {arm, params.arms[arm].start, *(params.arms[arm].start_of or ())}
    return frozenset(
        key for name, recipe in params.recipes.items() if name not in own for keys in recipe.stages for key in keys
    )


def _price(
    runs: Sequence[Sequence[Stage]],
    keys: Sequence[frozenset[str]],
    others: frozenset[str],
    stages: Mapping[str, Stage],
    params: ReportParams,
) -> Price:
    hour = params.device_hour_usd or 0.0

    def dollars(of: Iterable[Stage]) -> float:
        each = (
            one.usd + one.declared_usd + one.device_seconds / 3600 * hour for one in of if one.kind not in MADE_ONCE
        )
        return sum(each)

    alone = fmean(dollars(run) for run in runs)
    reusable = fmean(dollars(one for one in run if one.kind == REUSABLE) for run in runs)
    return Price(
        alone=alone,
        marginal=fmean(dollars(stages[key] for key in run - others) for run in keys),
        reusable=reusable,
        spread=alone - reusable + reusable / params.bases,
        calls=fmean(sum(one.usd for one in run if one.kind not in MADE_ONCE) for run in runs),
        device_hours=fmean(sum(one.device_seconds for one in run if one.kind not in MADE_ONCE) for run in runs) / 3600,
        declared=fmean(sum(one.declared_usd for one in run) for run in runs),
    )


def frontier(
    params: ReportParams,
    costs: Mapping[str, Price],
    scores: Mapping[str, tuple[float, tuple[float, float]]],
    results: Sequence[ContrastResult],
) -> Frontier | None:
    """Every arm with a price and a score (estimate, interval) under the primary evaluation; None with fewer than two.

    `results` are contrasts under that evaluation; those of two arms are priced where the spec prices a point.
    """
    arms = [arm for arm in params.arms if arm in costs and arm in scores]
    if len(arms) < 2:
        return None
    plane = {arm: (costs[arm].alone, scores[arm][0]) for arm in arms}
    points = tuple(Point(arm, costs[arm], *scores[arm], on_frontier=undominated(arm, plane)) for arm in arms)
    worth = params.delta.usd_per_point
    nets = () if worth is None else tuple(net(one, costs, worth) for one in results if _priced(one, costs))
    unit = params.evaluations[params.primary.evaluation].unit
    return Frontier(params.primary.evaluation, params.device_hour_usd, params.bases, points, nets, unit)


def undominated(arm: str, plane: Mapping[str, tuple[float, float]]) -> bool:
    """Whether no other arm of `plane` (cost, score) costs as little and scores as much, and betters one of both."""
    cost, score = plane[arm]
    return not any(
        other_cost <= cost and other_score >= score and (other_cost, other_score) != (cost, score)
        for other, (other_cost, other_score) in plane.items()
        if other != arm
    )


def _priced(result: ContrastResult, costs: Mapping[str, Price]) -> bool:
    pair = result.contrast.pair
    return pair is not None and all(arm in costs for arm in pair)


def net(result: ContrastResult, costs: Mapping[str, Price], usd_per_point: float) -> Net:
    """Points x price - cost, with the interval of the points; costs are counted, not estimated.

    Raises:
        ValueError: the contrast is not one of two arms.
    """
    if result.contrast.pair is None:
        raise ValueError(f"{result.contrast.name} is not a difference of two arms")
    a, b = result.contrast.pair
    extra = costs[a].alone - costs[b].alone
    low, high = (usd_per_point * end - extra for end in result.interval)
    return Net(result.contrast.name, usd_per_point, extra, usd_per_point * result.estimate - extra, (low, high))
