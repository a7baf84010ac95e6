"""The report stage's params: what the analyst must know of the spec, and under which inputs it finds what.

The report shows names, prices and the spec itself, so all of these are part of its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.declared_prices import declared_prices
from shared.families import another_family, families, judges_beside
from shared.gold import gold_of
from shared.nulls import PROMPTS
from shared.plan.beside import TEACHER, judged_beside, nulls_beside
from shared.plan.evaluated import BEST, At, all_names, evaluation_names, second_judges
from shared.plan.model import Plan
from shared.plan.tuning import tried_again
from shared.protocols.length_controlled import report_facts
from shared.spec.model import Spec
from shared.spec.parse import contrasts
from shared.spec.sweeps import chosen_by, is_swept, trials, trials_of
from shared.splits import rows_between

if TYPE_CHECKING:
    from shared.plan.model import Stage
    from shared.spec.resolve import Resolved


def report_params(
    resolved: Resolved,
    spec: Spec,
    starts: Mapping[str, str],
    scores: Sequence[Mapping[str, Any]],
    dev_scores: Sequence[Mapping[str, Any]],
    training: Sequence[Mapping[str, Any]],
    stages_of: Mapping[str, Sequence[str]],
    recipes: Mapping[str, Sequence[Sequence[str]]],
    stages: Mapping[str, Stage],
    gold: Mapping[str, Any],
    judging: Mapping[str, Any],
) -> dict[str, Any]:
    """The params of the report over the arms of `stages_of` (starts included, each before its RL arm), or of one cell.

    `spec` is the cell's. `scores` are of the eval prompts, `dev_scores` of the dev prompts. The spec as it was written
    stands beside them once. `stages_of` has every stage that an arm needs, or who is judged beside the arms; `recipes`
    those that make an arm's model, a list a seed. `gold` says where the primary evaluation's gold labels are, if it has
    any; `judging` what `judging_params` says of all cells.
    """
    beside, nulls = judged_beside(spec), nulls_beside(spec)
    pairs: dict[str, Any] = {name: list(pair) for name, pair in contrasts(spec).items()}
    if {"gain-weak", "gain-strong"} <= set(pairs) and not spec.contrasts:
        pairs["vanishing"] = [pairs["gain-weak"], pairs["gain-strong"]]
    needed = dict.fromkeys(key for keys in stages_of.values() for key in keys)
    declared = declared_prices(spec, needed, stages)
    return {
        "seeds": spec.seeds,
        "arms": {
            arm: {"role": beside[arm].role, "of": beside[arm].of}
            if arm in beside
            else {**_arm(arm, starts), **_control(spec, arm)}
            for arm in stages_of
            if arm not in nulls
        },
        "evaluations": {full: _evaluation(spec, entry, at) for full, (entry, at) in all_names(spec).items()},
        "scores": [dict(row) for row in scores],
        "dev_scores": [dict(row) for row in dev_scores],
        "training": [dict(row) for row in training],
        "contrasts": pairs,
        "primary": spec.primary.model_dump(),
        "second_judges": second_judges(spec),
        **judging,
        "delta": spec.worth.model_dump(),
        "looks": spec.looks,
        "checks": {"tuning_trials": trials_of(spec)},
        "stages": {arm: [[stages[key].kind, key] for key in keys] for arm, keys in stages_of.items()},
        "recipes": {
            arm: {
                "prompts": _train_prompts([stages[key] for key in of[0]], resolved.counts.get("train", 0)),
                "stages": [list(keys) for keys in of],
                **_tried(spec, arm, starts, stages, of),
                **_samples(spec, arm),
            }
            for arm, of in recipes.items()
        },
        "null_completions": list(nulls),
        "null_prompts": min(PROMPTS, spec.prompts.eval),
        "unjudged": [arm for arm, who in beside.items() if who.role == TEACHER and who.of in resolved.unjudged],
        "near_duplicates": resolved.counts.get("near_duplicates", 0),
        **_gold(spec, gold),
        # Only where there are any, so that other reports keep their keys.
        **({"declared": declared} if declared else {}),
        **({"tuning": {"evaluation": chosen_by(spec)}} if is_swept(spec) else {}),
    }


def judging_params(spec: Spec) -> dict[str, Any]:
    """Which families of models the judges of a whole spec are of, and whether the primary has judges of two."""
    return {
        "another_family": another_family(spec),
        "judge_families": {
            judge: ", ".join(sorted(families(spec, judge))) for judges in judges_beside(spec) for judge in judges
        },
    }


def _tried(
    spec: Spec, name: str, starts: Mapping[str, str], stages: Mapping[str, Stage], recipe: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """How many settings an arm or start tried, and its trainings on rows that an earlier trial of a step had."""
    if not is_swept(spec):
        return {}
    count = trials_of(spec).get(name, 0)
    if name not in spec.arms:
        count += trials(spec.arms[next(arm for arm, start in starts.items() if start == name)].sft)
    again = tried_again(Plan(dict(stages), ""), (key for keys in recipe for key in keys))
    return {"trials": count, "tried_again": again}


def _gold(spec: Spec, where: Mapping[str, Any]) -> dict[str, Any]:
    if (found := gold_of(spec)) is None:
        return {}
    _, _, gold = found
    return {"gold": {"labels": gold.labels, "n": gold.n, "arms": list(contrasts(spec)[spec.primary.contrast]), **where}}


def _train_prompts(stages: Iterable[Stage], total: int) -> int:
    """How many of the train prompts a model's stages used, for demonstrations or for pairs."""
    used: set[int] = set()
    for stage in stages:
        if stage.params.get("split") == "train":
            used.update(range(*rows_between(total, stage.params["start"], stage.params["stop"])))
    return len(used)


def _arm(name: str, starts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "role": name,
        "start": starts.get(name),
        "start_of": [arm for arm, start in starts.items() if start == name],
    }


def _control(spec: Spec, name: str) -> dict[str, Any]:
    """Of a control: which arm it is of, and what the two have alike."""
    control = None if name not in spec.arms else spec.arms[name].control
    if control is None:
        return {}
    equal, differs = control.words()
    return {"control": {"kind": control.kind, "of": control.of, "equal": equal, "differs": differs}}


def _samples(spec: Spec, arm: str) -> dict[str, int]:
    """How many samples an arm takes for each answer, where that is not one."""
    control = None if arm not in spec.arms else spec.arms[arm].control
    return {} if control is None or control.samples_an_answer == 1 else {"samples": control.samples_an_answer}


def _evaluation(spec: Spec, entry: str, at: At) -> dict[str, Any]:
    evaluation = spec.evaluations[entry]
    named = evaluation.models()
    judge = named.get("judge")
    asked = [] if judge is None else [spec.models[one] for one in spec.models[judge].parts or (judge,)]
    offline = bool(asked) and all(one.offline for one in asked)
    copied = any(one.imitation for one in asked)
    reason = ""
    if copied:
        reason = f"the judge {judge} measures likeness to a teacher's completions"
    elif evaluation.imitation:
        reason = f"{evaluation.protocol} is made from likelihoods, which measure imitation"
    return {
        "protocol": evaluation.protocol,
        "judge": judge,
        "judge_provider": None if judge is None else spec.models[judge].provider,
        "reference": named.get("reference"),
        "temperature": None if at == BEST else at,
        "best_of": [full for full, (name, _) in evaluation_names(spec).items() if at == BEST and name == entry],
        "unit": evaluation.unit,
        "offline_judge": offline,
        "imitation": copied or evaluation.imitation,
        "reason": reason,
        **({"method": evaluation.method} if evaluation.method else {}),
        **report_facts(evaluation, at, spec.evaluations),
    }
