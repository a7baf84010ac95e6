"""Settings that are chosen on the dev prompts: which there are, how many an arm tries, and what is wrong with them.

A trial is one state of one training: a setting of the grid at one of its checkpoints. Every one is sampled and judged
on the dev prompts, and counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from shared.errors import FieldError
from shared.methods import PREFERENCES
from shared.plan.evaluated import BEST, all_names, evaluation_names
from shared.spec.model import Arm, Rl, Spec
from shared.spec.names import policy_of, unknown
from shared.spec.recipes import rl_arguments
from shared.spec.swept import Swept
from shared.trl import check_arguments, trl_arguments

BETA = "beta"
"""The one setting of `rl.sweep` that is none of TRL's arguments."""
MOST_TRIALS = 64
"""Of one step: each is a training, or a part of one, and judged on all dev prompts."""

Step = TypeVar("Step", bound=Swept)
Setting = Mapping[str, Any]


def settings(step: Swept) -> list[dict[str, Any]]:
    """Every combination of the values to try, the last name's changing first; one empty one where nothing is swept."""
    grid = step.sweep or {}
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def is_tuned(step: Swept) -> bool:
    """Whether anything of a step is chosen on dev."""
    return step.sweep is not None or step.checkpoints > 1


def trials(step: Swept) -> int:
    """How many states a step has to choose from; 0 where there is nothing to choose."""
    if not is_tuned(step):
        return 0
    count = step.checkpoints
    for values in (step.sweep or {}).values():
        count *= len(values)
    return count


def as_tried(step: Step, setting: Setting) -> Step:
    """The step with one setting, as it would stand in a spec that tries no others."""
    args = {name: value for name, value in setting.items() if name != BETA}
    changes: dict[str, Any] = {"sweep": None, "patience": None, "args": {**step.args, **args}}
    return step.model_copy(update=changes | ({BETA: setting[BETA]} if BETA in setting else {}))


def steps_of(arm: Arm) -> dict[str, Swept]:
    """An arm's own steps by the field under `arms.<name>` that has their settings."""
    found: dict[str, Swept] = {"sft": arm.sft}
    tuned = None if arm.control is None else arm.control.swept()
    if tuned is not None:
        found["control"] = tuned
    elif arm.rl is not None:
        found["rl"] = arm.rl
    return found


def is_swept(spec: Spec) -> bool:
    """Whether any arm chooses a setting on dev."""
    return any(is_tuned(step) for arm in spec.arms.values() for step in steps_of(arm).values())


def trials_of(spec: Spec) -> dict[str, int]:
    """How many settings every arm tries on dev: its sweeps', and those that the spec declares besides."""
    if not is_swept(spec):
        return dict(spec.tuning_trials)
    swept = {name: sum(trials(step) for step in steps_of(arm).values()) for name, arm in spec.arms.items()}
    return {name: swept.get(name, 0) + spec.tuning_trials.get(name, 0) for name in {**swept, **spec.tuning_trials}}


def chosen_by(spec: Spec) -> str:
    """The full name of the evaluation whose dev scores choose; of a primary that is best_on_dev, its first temperature.

    It is only known to exist where `sweep_errors` found nothing.
    """
    if spec.tuning.evaluation is not None:
        return spec.tuning.evaluation
    entry, at = all_names(spec).get(spec.primary.evaluation, ("", None))
    if at != BEST:
        return spec.primary.evaluation
    return next(full for full, (name, _) in evaluation_names(spec).items() if name == entry)


def entries_on_dev(spec: Spec) -> set[str]:
    """The entries of `evaluations` that are judged on the dev prompts too."""
    found = {name for name, evaluation in spec.evaluations.items() if evaluation.best_on_dev}
    if is_swept(spec) and (full := chosen_by(spec)) in (names := evaluation_names(spec)):
        found.add(names[full][0])
    return found


def sweep_errors(spec: Spec) -> Iterator[FieldError]:
    """What is wrong with the sweeps of a spec, or of a matrix's cell, whose arms are right without them."""
    if not is_swept(spec):
        for name, arm in spec.arms.items():
            yield from (error for field, step in steps_of(arm).items() for error in _patience(name, field, step))
        if spec.tuning.evaluation is not None:
            yield FieldError("tuning.evaluation", "chooses nothing: no arm has a sweep or checkpoints", "Remove it.")
        return
    wrong = False
    for name, arm in spec.arms.items():
        for field, step in steps_of(arm).items():
            errors = [*_grid(spec, name, arm, field, step), *_patience(name, field, step)]
            errors += _left_open(spec, name, arm) if field == "control" else ()
            wrong = wrong or bool(errors)
            yield from errors
        policy = spec.policies[policy_of(spec, arm)]
        if policy.hardware.strategy != "ddp" and any(step.checkpoints > 1 for step in steps_of(arm).values()):
            problem = (
                f"is {policy.hardware.strategy}, and {name} tries checkpoints, which a divided model does not leave"
            )
            fix = "Write `strategy: ddp`, or leave checkpoints out."
            yield FieldError(f"policies.{policy_of(spec, arm)}.hardware.strategy", problem, fix)
    if spec.prompts.dev == 0:
        yield FieldError("prompts.dev", "is 0, and settings are chosen on dev prompts", "Write 50 or more.")
    yield from _evaluation(spec)
    if not wrong and not spec.tuning.unequal_trials:
        yield from _unequal(spec)


def _grid(spec: Spec, name: str, arm: Arm, field: str, step: Swept) -> Iterator[FieldError]:
    """One step's: too many, one that is none, the same twice, and what TRL or the method would not take."""
    where = f"arms.{name}.{field}"
    if step.sweep is None and step.checkpoints == 1:
        return
    count = trials(step)
    if count > MOST_TRIALS:
        product = " × ".join(str(len(values)) for values in (step.sweep or {}).values())
        parts = " × ".join(
            part for part in (product, f"{step.checkpoints} checkpoints" * (step.checkpoints > 1)) if part
        )
        place = "sweep" if step.sweep else "checkpoints"
        problem = f"makes {count} trials ({parts}), and {MOST_TRIALS} are the most of a step"
        yield FieldError(f"{where}.{place}", problem, "Try fewer values.")
        return
    if step.sweep is None:
        return
    if count == 1:
        fix = "Give a second value, or write this one under args."
        yield FieldError(f"{where}.sweep", "has one setting, which leaves nothing to choose", fix)
    for one, values in step.sweep.items():
        if any(value in values[:place] for place, value in enumerate(values)):
            yield FieldError(f"{where}.sweep.{one}", "the same value stands there twice", "Give each value once.")
        elif one in step.args or (one == BETA and isinstance(step, Rl) and step.beta is not None):
            given = "beta" if one == BETA else f"args.{one}"
            yield FieldError(f"{where}.{given}", "is also under sweep", "Remove it: the sweep chooses it.")
        else:
            yield from _values(where, arm, field, one, values)
    if arm.rl is not None and field == "rl" and arm.rl.method in PREFERENCES:
        yield from _clashes(spec, where, arm.rl)


def _values(where: str, arm: Arm, field: str, name: str, values: list[Any]) -> Iterator[FieldError]:
    """The first value of a setting that cannot be."""
    place = f"{where}.sweep.{name}"
    method = arm.rl.method if field == "rl" and arm.rl is not None else "sft"
    if method not in trl_arguments()["methods"]:
        return  # said of rl.method itself
    for value in values:
        if name == BETA and field != "rl":
            yield FieldError(place, "SFT has no beta", "Remove it, or sweep it under rl.")
            return
        if name == BETA and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield FieldError(place, f"{value!r:.60} is no number", "Write numbers.")
            return
        errors = (
            PREFERENCES[method].beta_errors(place, value) if name == BETA
            else check_arguments(f"{where}.sweep", method, {name: value})
        )  # fmt: skip
        if (error := next(iter(errors), None)) is not None:
            yield error
            return


def _clashes(spec: Spec, where: str, rl: Rl) -> Iterator[FieldError]:
    """The first setting whose arguments do not go together, though each of them is right."""
    for setting in settings(rl):
        tried = as_tried(rl, setting)
        for error in PREFERENCES[rl.method].clashes(where, rl_arguments(tried, spec.defaults.rl)):
            said = ", ".join(f"{name}: {value}" for name, value in setting.items())
            yield FieldError(
                f"{where}.sweep", f"{said}: {error.field.removeprefix(f'{where}.')} {error.problem}", error.fix
            )
            return


def _left_open(spec: Spec, name: str, arm: Arm) -> Iterator[FieldError]:
    """A control's own SFT takes the arm's arguments, and what that one's SFT chooses is none of them."""
    assert arm.control is not None
    own = {
        **spec.defaults.sft,
        **arm.sft.args,
        **(arm.control.tuning() or {}),
        **(steps_of(arm)["control"].sweep or {}),
    }
    for one in arm.sft.sweep or {}:
        if one not in own:
            fix = f"Write `sweep: {{{one}: […]}}` or args.{one} for it."
            problem = f"lacks {one}: the SFT of {arm.control.of} chooses its own on dev, and this is another step"
            yield FieldError(f"arms.{name}.control.sweep", problem, fix)


def _patience(name: str, field: str, step: Swept) -> Iterator[FieldError]:
    if step.patience is not None and step.patience >= step.checkpoints:
        problem = f"is {step.patience}, and of {step.checkpoints} checkpoints it can never leave one out"
        fix = "Write `checkpoints` beside it, two or more above it, or remove it."
        yield FieldError(f"arms.{name}.{field}.patience", problem, fix)


def _evaluation(spec: Spec) -> Iterator[FieldError]:
    """Whether the evaluation that chooses is there, and can score one arm on dev prompts."""
    full, names = chosen_by(spec), evaluation_names(spec)
    field = "tuning.evaluation"
    if full not in names:
        if spec.tuning.evaluation is not None:
            yield unknown(field, full, [one for one in names if _can_choose(spec, one)], "evaluations")
        return  # else it is said of the primary
    if not _can_choose(spec, full):
        fitting = [one for one in names if _can_choose(spec, one)]
        fix = f"Write one of: {', '.join(fitting)}." if fitting else "Add an evaluation by `protocol: pairwise`."
        yield FieldError(field, f"{full} gives an arm no score of its own on dev prompts", fix)


def _can_choose(spec: Spec, full: str) -> bool:
    entry, at = evaluation_names(spec)[full]
    evaluation = spec.evaluations[entry]
    own = evaluation.dataset is not None and evaluation.dataset_kind == "prompts"
    return not (evaluation.together or own or evaluation.not_primary(at, spec.evaluations))


def _unequal(spec: Spec) -> Iterator[FieldError]:
    """Arms with fewer trials than others: a tuned arm against an untuned one decides nothing."""
    counts = {name: count for name, count in trials_of(spec).items() if name in spec.arms}
    most = max(counts, key=lambda name: counts[name])
    for name, count in counts.items():
        if count < counts[most]:
            own = steps_of(spec.arms[name])
            field = next((one for one, step in own.items() if is_tuned(step)), list(own)[-1])
            problem = f"{name} tries {count} settings on dev, and {most} {counts[most]}"
            fix = (
                f"Give it as many, count those that were tried elsewhere under tuning_trials.{name}, or write "
                "`tuning: {unequal_trials: true}`, which the report then says."
            )
            yield FieldError(f"arms.{name}.{field}.sweep", problem, fix)
