"""What the primary contrast will be able to see: its half-width and the smallest gain, before anything is run.

From an earlier experiment's variances where one was like it, else from what Sharma et al. 2024 (arXiv 2402.12366)
published: 800 prompts, standard errors of 1.46 to 1.77 points in figures 2, 4 and 5, one run an arm. How arms and
seeds correlate was not published and is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.canonical import content_key
from shared.estimate.quantity import Quantity
from shared.plan.evaluated import At, all_names
from shared.power import MOST_PROMPTS, RECIPE_SEEDS, SEEN, SHARE, Components
from shared.protocols import Evaluation
from shared.protocols.base import questions_count
from shared.scales import POINTS
from shared.spec.matrix import cells
from shared.spec.model import Spec, WorthPoints, WorthPrice, WorthScore
from shared.spec.names import policy_of
from shared.spec.parse import contrasts

SCORE_SD = Quantity(*(error * math.sqrt(800) for error in (1.458, 1.73, 1.77)))
"""Of one prompt's score in points: from the published standard errors (least, median, largest)."""
CORRELATION = 0.2
"""Between two arms' scores on the same prompts."""
SEED_SD = Quantity(0, 2, 4)
"""Points by which an arm's mean differs between its seeds (SD)."""
KEPT = Quantity(0, 0.5, 1)
"""The share of a prompt's variance between two arms that is the same in every seed."""
ENDS = ("low", "expected", "high")


def _assumption(arms: str) -> str:
    return (
        f"the published standard errors of Sharma et al. 2024 (a score's SD {SCORE_SD.low:.0f} to {SCORE_SD.high:.0f} "
        f"points), {arms}, an SD of {SEED_SD.expected:g} points between an arm's seeds ({SEED_SD.low:g} to "
        f"{SEED_SD.high:g})"
    )


ASSUMPTION = _assumption(f"a correlation of {CORRELATION:g} between arms")
HEAD_TO_HEAD = _assumption("two arms' win rates that add up to 100, so that 51 to 49 is a difference of 2 points")


@dataclass(frozen=True)
class Design:
    """What decides an experiment's power. `delta` is None where it depends on what the arms will cost.

    `likeness` is what another experiment must share for its variances to tell of this one: its policy, its judge and
    what that compares, and the contrast. It is None for a matrix.
    """

    contrast: str
    evaluation: str
    unit: str
    prompts: int
    seeds: int
    alpha: float
    delta: float | None
    likeness: str | None
    head_to_head: bool = False


@dataclass(frozen=True)
class Pilot:
    """Variances that an earlier experiment measured, as the report stage's metrics have them."""

    experiment: str
    parts: Components
    prompts: int
    seeds: int


def design_of(spec: Spec, counts: Mapping[str, int]) -> Design:
    """The design of an experiment's primary contrast; with a matrix, of each of its cells."""
    whole = cells(spec)
    cell = next(iter(whole.values()))
    entry, at = all_names(cell)[cell.primary.evaluation]
    evaluation = cell.evaluations[entry]
    return Design(
        contrast=cell.primary.contrast,
        evaluation=cell.primary.evaluation,
        unit=evaluation.unit,
        prompts=_prompts(evaluation, counts),
        seeds=len(cell.seeds),
        alpha=0.05 / (cell.looks * len(whole)),
        delta=_delta(cell.worth),
        likeness=_likeness(cell, entry, at) if spec.matrix is None else None,
        head_to_head=evaluation.together,
    )


def _prompts(evaluation: Evaluation, counts: Mapping[str, int]) -> int:
    """The prompts that an evaluation is over: the eval split's, or questions of its own."""
    own = None if evaluation.dataset is None else counts.get(questions_count(evaluation.dataset))
    return counts["eval"] if own is None else own


def _delta(worth: WorthPoints | WorthPrice | WorthScore) -> float | None:
    """In the primary's unit; None where costs decide."""
    if isinstance(worth, WorthPrice):
        return None
    return worth.points if isinstance(worth, WorthPoints) else worth.score


def _likeness(spec: Spec, entry: str, at: At) -> str:
    evaluation = spec.evaluations[entry]
    named = {field: _defined(spec, name) for field, name in evaluation.models().items()}
    against: list[Any] = ["each other"] if evaluation.together else []
    pair = contrasts(spec).get(spec.primary.contrast, ())
    policies = {policy_of(spec, arm) for name, arm in spec.arms.items() if name in pair}
    models = [spec.policies[name].model_dump(mode="json") for name in sorted(policies)]
    usual = {"protocol", "temperature", "best_on_dev", "between", *evaluation.models()}
    settings = evaluation.model_dump(mode="json", exclude_defaults=True, exclude=usual)
    rest = [settings] if settings else []
    return content_key([evaluation.protocol, at, named, spec.primary.contrast, models, *against, *rest])


def _defined(spec: Spec, name: str) -> Any:
    """A model by its definition, whatever it is called and costs."""
    return spec.models[name].model_dump(mode="json", exclude={"price", "limits", "api_key"})


def forecast(design: Design, pilot: Pilot | None = None) -> dict[str, Any] | None:
    """The dry run's `power`; None of an evaluation that is not in points and that no earlier experiment tells of."""
    if design.unit != POINTS and pilot is None:
        return None
    ends = assumed(design.seeds, design.head_to_head) if pilot is None else measured(pilot, design)
    source = HEAD_TO_HEAD if design.head_to_head else ASSUMPTION
    n, seeds, alpha = design.prompts, design.seeds, design.alpha
    width = Quantity(*(ends[end].expected_half_width(n, seeds, alpha) for end in ENDS))
    seen = Quantity(*(ends[end].smallest_seen(n, seeds, alpha) for end in ENDS))
    reach = None if design.delta is None else seen.expected <= abs(design.delta)
    needed = None
    if reach is False and design.delta:
        needed = ends["expected"].fewest_prompts(seeds, SHARE * abs(design.delta), alpha, n, MOST_PROMPTS)
    return {
        "contrast": design.contrast,
        "evaluation": design.evaluation,
        "unit": design.unit,
        "prompts": n,
        "seeds": seeds,
        "alpha": alpha,
        "half_width": width.expected,
        "half_width_range": width.range,
        "smallest_gain": seen.expected,
        "smallest_gain_range": seen.range,
        "share": SEEN,
        "delta": design.delta,
        "delta_in_reach": reach,
        "prompts_needed": needed,
        "source": source if pilot is None else f"the variances of experiment {pilot.experiment}",
        "experiment": None if pilot is None else pilot.experiment,
    }


def assumed(seeds: int, head_to_head: bool = False) -> dict[str, Components]:
    """Where nothing like it was run. Var(A - B) of one prompt is 2 (1 - correlation) SD^2.

    Head to head the scores add up to 100: their correlation is -1.
    """
    found = {}
    for end in ENDS:
        whole = 2 * (1 - (-1 if head_to_head else CORRELATION)) * getattr(SCORE_SD, end) ** 2
        kept = getattr(KEPT, end) if seeds > 1 else 1.0
        between = _between(end, head_to_head) if seeds >= RECIPE_SEEDS else 0.0
        found[end] = Components(kept * whole, between, (1 - kept) * whole, recipe=seeds >= RECIPE_SEEDS)
    return found


def _between(end: str, head_to_head: bool) -> float:
    """The variance between seeds of a difference of two arms. Head to head an arm's gain is the other's loss too, so
    the same strengths differ by twice as much."""
    return (8 if head_to_head else 2) * float(getattr(SEED_SD, end)) ** 2


def measured(pilot: Pilot, design: Design) -> dict[str, Components]:
    """From a pilot's variances, with the range in which 90% of such estimates leave the true ones (chi-square).

    Of a pilot with fewer than three seeds nothing is known of the variance between seeds, which is then assumed.
    """
    found = {}
    for end, z in zip(ENDS, (1.645, None, -1.645), strict=True):
        parts = pilot.parts
        of_prompts, of_seeds = (1.0, 1.0) if z is None else (_over(pilot.prompts - 1, z), _over(pilot.seeds - 1, z))
        between = parts.seed * of_seeds if parts.recipe else _between(end, design.head_to_head)
        recipe = design.seeds >= RECIPE_SEEDS
        found[end] = replace(
            parts,
            prompt=parts.prompt * of_prompts,
            residual=parts.residual * of_prompts,
            seed=between if recipe else 0.0,
            recipe=recipe,
        )
    return found


def _over(df: int, z: float) -> float:
    """df over the quantile of chi-square at the normal quantile `z` (Wilson and Hilferty 1931)."""
    if df < 1:
        return 1.0
    return 1 / max(1 - 2 / (9 * df) + z * math.sqrt(2 / (9 * df)), 0.1) ** 3
