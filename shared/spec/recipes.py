"""Recipes in a spec: controls take the recipe of their arm; what is wrong with methods and controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from shared.controls import CONTROLS
from shared.errors import BadInputs, FieldError
from shared.methods import PREFERENCES
from shared.spec.model import Preset, Rl, Spec
from shared.spec.names import model_errors, one_of, unknown
from shared.trl import check_arguments, check_choice, trl_arguments

OWN = frozenset({"control"})
"""What an arm with a control may say."""


def preset_controls(preset: Preset) -> dict[str, Any]:
    """The controls of `rlaif-weak` that a preset asks for, as arms."""
    if isinstance(preset.controls, bool):
        wanted = list(CONTROLS) if preset.controls else []
    else:
        wanted = list(preset.controls)
    more = {"swap": {"teacher": preset.strong}}
    return {
        f"{CONTROLS[kind].contrast}-arm": {"control": {"kind": kind, "of": "rlaif-weak", **more.get(kind, {})}}
        for kind in wanted
    }


def expand_controls(data: dict[str, Any]) -> dict[str, Any]:
    """Give every control the policy, SFT and RL settings of its arm, which is what it shares stages by.

    Raises:
        BadInputs: it names no RL arm, or says them itself.
    """
    arms = data.get("arms")
    if not isinstance(arms, Mapping):
        return data
    controls = {name: arm for name, arm in arms.items() if isinstance(arm, Mapping) and arm.get("control") is not None}
    if errors := [error for name, arm in controls.items() for error in _shape_errors(str(name), arm, arms)]:
        raise BadInputs(errors)
    filled = {name: {**arms[arm["control"]["of"]], **arm} for name, arm in controls.items()}
    return {**data, "arms": {**arms, **filled}}


def _shape_errors(name: str, arm: Mapping[str, Any], arms: Mapping[str, Any]) -> Iterator[FieldError]:
    field, control = f"arms.{name}", arm["control"]
    for extra in arm.keys() - OWN:
        fix = "Remove it: a control has the policy, sft and rl of the arm that it is of."
        yield FieldError(f"{field}.{extra}", "stands beside a control", fix)
    others = {
        other: one
        for other, one in arms.items()
        if isinstance(one, Mapping) and one.get("control") is None and one.get("rl") is not None
    }
    if not isinstance(control, Mapping):
        yield FieldError(f"{field}.control", "is no mapping", "Write {kind: …, of: …} below it.")
    elif "of" not in control:
        yield FieldError(f"{field}.control.of", "is missing", f"Name the RL arm. {one_of(others)}")
    elif not isinstance(control["of"], str) or control["of"] not in arms:
        yield unknown(f"{field}.control.of", str(control["of"]), others, "arms with an RL step")
    elif control["of"] not in others:
        yield FieldError(f"{field}.control.of", f"{control['of']} has no RL step of its own", one_of(others))


def own_errors(errors: Iterable[FieldError], data: Mapping[str, Any]) -> list[FieldError]:
    """The errors without those of what controls took from their arms, where the same are said already."""
    arms = data.get("arms")
    names = [
        name for name, arm in (arms.items() if isinstance(arms, Mapping) else ())
        if isinstance(arm, Mapping) and arm.get("control") is not None
    ]  # fmt: skip
    taken = tuple(f"arms.{name}.{field}" for name in names for field in ("policy", "sft", "rl"))
    return [error for error in dict.fromkeys(errors) if not error.field.startswith(taken)] if taken else list(errors)


def control_contrasts(spec: Spec, known: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """What an arm has that its control has not, by a name that is not `known`: `chosen` of rlaif-weak's, `chosen-mine`
    of another arm's, `chosen-mine-2` of a second one."""
    found = dict(known)
    for name, arm in spec.arms.items():
        if arm.control is None or (arm.control.of, name) in found.values():
            continue
        whole = arm.control.contrast
        if arm.control.of != "rlaif-weak":
            whole += f"-{arm.control.of.removeprefix('rlaif-')}"
        place = next(number for number in count(1) if _numbered(whole, number) not in found)
        found[_numbered(whole, place)] = (arm.control.of, name)
    return {name: pair for name, pair in found.items() if name not in known}


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def method_errors(spec: Spec) -> Iterator[FieldError]:
    """What is wrong with `rl.method`, its loss and the arguments of every training, as TRL would see them."""
    yield from check_arguments("defaults.sft", "sft", spec.defaults.sft)
    wrong: dict[str, list[FieldError]] = {}
    for name, arm in spec.arms.items():
        field = f"arms.{name}"
        yield from check_arguments(f"{field}.sft.args", "sft", arm.sft.args)
        if arm.control is not None and (args := arm.control.tuning()) is not None:
            yield from check_arguments(f"{field}.control.args", "sft", args)
        if arm.rl is None:
            continue
        known = trl_arguments()
        if arm.rl.method not in known["methods"] or arm.rl.method not in PREFERENCES:
            lacks = f"{arm.rl.method!r} is not in TRL {known['trl']}"
            problem = lacks if arm.rl.method in PREFERENCES else f"{arm.rl.method!r} is unknown"
            yield FieldError(f"{field}.rl.method", problem, one_of(set(PREFERENCES) & set(known["methods"])))
            continue
        if arm.rl.method not in wrong:
            wrong[arm.rl.method] = list(check_arguments("defaults.rl", arm.rl.method, spec.defaults.rl))
            yield from wrong[arm.rl.method]
        yield from _rl_errors(f"{field}.rl", arm.rl, {} if wrong[arm.rl.method] else spec.defaults.rl)


def _rl_errors(field: str, rl: Rl, defaults: Mapping[str, Any]) -> Iterator[FieldError]:
    method = PREFERENCES[rl.method]
    errors = [*check_arguments(f"{field}.args", rl.method, rl.args), *method.loss_errors(f"{field}.loss", rl.loss)]
    errors += check_choice(f"{field}.loss", rl.method, "loss_type", rl.loss)
    errors += method.beta_errors(f"{field}.beta", rl.beta)
    if rl.loss is not None and "loss_type" in rl.args:
        errors.append(FieldError(f"{field}.loss", "is also under args.loss_type", "Say it once."))
    yield from errors or method.clashes(field, rl_arguments(rl, defaults))
    if rl.rounds > 1 and rl.pairs == "recorded":
        yield FieldError(f"{field}.rounds", "means nothing for recorded pairs", "Remove it, or write on_policy.")


def rl_arguments(rl: Rl, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """TRL's arguments of an RL step."""
    return {**defaults, **PREFERENCES[rl.method].loss_arguments(rl.loss), **rl.args}


def control_errors(spec: Spec) -> Iterator[FieldError]:
    """Names of a control's models, and what does not go with its arm."""
    for name, arm in spec.arms.items():
        if arm.control is None or arm.rl is None:
            continue
        field = f"arms.{name}.control"
        for what, model in arm.control.teachers().items():
            yield from model_errors(spec, f"{field}.{what}", model, "can_teach")
        yield from arm.control.guide_errors(field, arm.rl)
        if arm.rl.critic in spec.models:
            protocols = [evaluation.protocol for evaluation in spec.evaluations.values()]
            yield from arm.control.clashes(field, arm.rl, spec.models[arm.rl.critic], protocols)
