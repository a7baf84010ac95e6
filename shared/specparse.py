"""Reading a spec: presets expanded, fields checked, names looked up; every mistake names its field and the fix."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shared.errors import BadInput, BadInputs, FieldError
from shared.llm.providers import PROVIDERS, ModelSpec
from shared.protocols import PROTOCOLS
from shared.spec import Arm, Preset, Spec

PRESETS = ("teacher_or_critic",)
PRESET_FIELDS = ("preset", *Preset.model_fields)
WELL_KNOWN = {
    "headline": ("rlaif-weak", "sft-strong"),
    "added": ("rlaif-strong", "sft-strong"),
    "net-weak": ("rlaif-weak", "sft-weak"),
    "gain-weak": ("rlaif-weak", "start-weak"),
    "gain-strong": ("rlaif-strong", "start-strong"),
    "swap": ("rlaif-weak", "swap-arm"),
    "teacher": ("sft-strong", "sft-weak"),
}
"""design.md's contrasts, by the arms' roles."""


def parse_spec(data: Any) -> Spec:
    """Check a spec (a mapping, as read from YAML or JSON).

    Raises:
        BadInputs: with one error for each mistake found.
    """
    if not isinstance(data, Mapping):
        raise BadInput("spec", f"is a {type(data).__name__}", "Write a mapping with name, prompts, policies, arms …")
    if "matrix" in data:
        raise BadInput("matrix", "is not supported by this version", "Write one spec for each cell.")
    try:
        spec = Spec.model_validate(_expand_preset(dict(data)))
    except ValidationError as error:
        raise BadInputs(_field_errors(error)) from None
    if errors := list(_references(spec)) or list(_training(spec)) or list(_judgement(spec)):
        raise BadInputs(errors)
    return spec


def start_arms(spec: Spec) -> dict[str, str]:
    """The start arm's name of each RL arm; arms with the same policy and SFT share one."""
    starts: dict[str, str] = {}
    named: dict[str, str] = {}
    for name, arm in spec.arms.items():
        if arm.rl is not None:
            recipe = arm.model_copy(update={"rl": None}).model_dump_json()
            default = f"start-{name.removeprefix('rlaif-')}"
            starts[name] = named.setdefault(recipe, default)
    return starts


def contrasts(spec: Spec) -> dict[str, tuple[str, str]]:
    """The contrasts that this spec's arms allow: its own, or design.md's where the arms have the well-known names."""
    if spec.contrasts:
        return dict(spec.contrasts)
    arms = set(spec.arms) | set(start_arms(spec).values())
    known = {name: pair for name, pair in WELL_KNOWN.items() if set(pair) <= arms}
    gains = {f"gain-{arm.removeprefix('rlaif-')}": (arm, start) for arm, start in start_arms(spec).items()}
    return {**known, **{name: pair for name, pair in gains.items() if name not in known}}


def evaluation_names(spec: Spec) -> dict[str, tuple[str, float | None]]:
    """Every evaluation by its full name (`win-rate@0.7`), with its entry's name and temperature."""
    return {
        name if temperature is None else f"{name}@{temperature}": (name, temperature)
        for name, evaluation in spec.evaluations.items()
        for temperature in evaluation.temperatures()
    }


def needed_models(entry: ModelSpec) -> dict[str, str]:
    """The names of other models that a model needs, by the field that names them."""
    return {} if entry.towards_model is None else {"towards": entry.towards_model}


def _expand_preset(data: dict[str, Any]) -> dict[str, Any]:
    """Write a preset's arms out; arms that the spec gives itself come on top."""
    if "preset" not in data:
        return data
    if data["preset"] not in PRESETS:
        raise BadInput("preset", f"{data['preset']!r} is unknown", f"Use {' or '.join(PRESETS)}.")
    given = {name: data[name] for name in Preset.model_fields if name in data}
    try:
        preset = Preset.model_validate(given)
    except ValidationError as error:
        raise BadInputs(_field_errors(error)) from None
    rl = {"critic": preset.critic, **preset.rl}
    arms = {
        "sft-weak": {"sft": {"teacher": preset.weak}},
        "sft-strong": {"sft": {"teacher": preset.strong}},
        "rlaif-weak": {"sft": {"teacher": preset.weak, "fraction": preset.fraction}, "rl": rl},
        "rlaif-strong": {"sft": {"teacher": preset.strong, "fraction": preset.fraction}, "rl": rl},
    }
    rest = {name: value for name, value in data.items() if name not in PRESET_FIELDS}
    return {**rest, "arms": {**arms, **(data.get("arms") or {})}}


def _references(spec: Spec) -> Iterator[FieldError]:
    """Every name that must be found elsewhere in the spec."""
    if len(set(spec.seeds)) != len(spec.seeds):
        yield FieldError("seeds", "the same seed stands there twice", "Give each seed once.")
    for name, policy in spec.policies.items():
        if (policy.model is None) == (policy.base is None):
            yield FieldError(f"policies.{name}", "needs exactly one of model and base", "Write `model: <name>`.")
    for name, arm in spec.arms.items():
        if arm.policy is None and len(spec.policies) > 1:
            yield FieldError(
                f"arms.{name}.policy", "is missing, and there are several policies", _one_of(spec.policies)
            )
        elif arm.policy is not None and arm.policy not in spec.policies:
            yield _unknown(f"arms.{name}.policy", arm.policy, spec.policies, "policies")
        yield from _model(spec, f"arms.{name}.sft.teacher", arm.sft.teacher, "can_teach")
        if arm.rl is not None:
            yield from _model(spec, f"arms.{name}.rl.critic", arm.rl.critic, "can_compare")
    for name, evaluation in spec.evaluations.items():
        for field, model in evaluation.models().items():
            needs = "can_compare" if field in {"judge", "labels"} else "can_teach"
            yield from _model(spec, f"evaluations.{name}.{field}", model, needs)
    for name, entry in spec.models.items():
        for field, model in needed_models(entry).items():
            yield from _model(spec, f"models.{name}.{field}", model, "can_teach")


def _training(spec: Spec) -> Iterator[FieldError]:
    """What TRL takes, and what an RL arm needs."""
    known = trl_arguments()
    for field, method, args in _arguments(spec):
        if method not in known["methods"]:
            methods = [name for name in known["methods"] if name != "sft"]
            yield FieldError(field.replace(".args", ".method"), f"{method!r} is unknown", _one_of(methods))
            continue
        entry = known["methods"][method]
        for name in args:
            if name in entry["owned"]:
                yield FieldError(f"{field}.{name}", "is set by Touchstone itself", "Remove it.")
            elif name not in entry["arguments"]:
                near = difflib.get_close_matches(name, entry["arguments"], n=1)
                fix = f"Did you mean {near[0]}?" if near else f"See TRL {known['trl']}'s {entry['config']}."
                yield FieldError(f"{field}.{name}", f"TRL's {entry['config']} has no such argument", fix)
    for name, arm in spec.arms.items():
        if arm.rl is None:
            continue
        if arm.sft.fraction >= 1:
            yield FieldError(
                f"arms.{name}.sft.fraction",
                "is 1, which leaves no prompts for the RL step",
                "Write a fraction below 1, such as 0.1: RL uses the prompts that SFT did not.",
            )
        critic = spec.models[arm.rl.critic]
        if (arm.rl.pairs == "recorded") != critic.records_preferences:
            fix = "recorded" if critic.records_preferences else "on_policy"
            yield FieldError(
                f"arms.{name}.rl.pairs", f"critic {arm.rl.critic} cannot label {arm.rl.pairs} pairs", f"Write {fix}."
            )


def _judgement(spec: Spec) -> Iterator[FieldError]:
    """The contrasts and the primary."""
    arms = set(spec.arms) | set(start_arms(spec).values())
    for name, pair in spec.contrasts.items():
        for arm in pair:
            if arm not in arms:
                yield _unknown(f"contrasts.{name}", arm, arms, "arms")
    pairs = contrasts(spec)
    if spec.primary.contrast not in pairs:
        fix = _one_of(pairs) if pairs else "Name the arms sft-weak, sft-strong, rlaif-weak …, or write `contrasts:`."
        yield FieldError("primary.contrast", f"{spec.primary.contrast!r} is no contrast of these arms", fix)
    if spec.primary.evaluation not in (names := evaluation_names(spec)):
        yield _unknown("primary.evaluation", spec.primary.evaluation, names, "evaluations")
    for name, evaluation in spec.evaluations.items():
        judge = evaluation.models().get("judge")
        if judge is not None and spec.models[judge].records_preferences:
            yield FieldError(
                f"evaluations.{name}.judge",
                f"{judge} only has recorded pairs and cannot judge new completions",
                "Name a model that can be asked.",
            )
    for arm in spec.tuning_trials:
        if arm not in arms:
            yield _unknown("tuning_trials", arm, arms, "arms")


def _arguments(spec: Spec) -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "defaults.sft", "sft", spec.defaults.sft
    methods = sorted({arm.rl.method for arm in spec.arms.values() if arm.rl is not None})
    if spec.defaults.rl and methods:
        yield "defaults.rl", methods[0], spec.defaults.rl
    for name, arm in spec.arms.items():
        yield f"arms.{name}.sft.args", "sft", arm.sft.args
        if arm.rl is not None:
            yield f"arms.{name}.rl.args", arm.rl.method, arm.rl.args


def _model(spec: Spec, field: str, name: str, needs: str) -> Iterator[FieldError]:
    if name not in spec.models:
        yield _unknown(field, name, spec.models, "models")
    elif not getattr(spec.models[name], needs):
        what = "write completions" if needs == "can_teach" else "compare completions"
        fitting = [other for other, entry in spec.models.items() if getattr(entry, needs)]
        yield FieldError(field, f"{name} (provider {spec.models[name].provider}) cannot {what}", _one_of(fitting))


def _unknown(field: str, name: str, known: Any, where: str) -> FieldError:
    near = difflib.get_close_matches(name, list(known), n=1)
    fix = f"Did you mean {near[0]}?" if near else _one_of(known)
    return FieldError(field, f"{name!r} is not under {where}", fix)


def _one_of(names: Any) -> str:
    return f"Use one of: {', '.join(sorted(names))}." if names else "Add one under models."


@cache
def trl_arguments() -> dict[str, Any]:
    """TRL's methods and arguments, from the generated file (`python -m workers.trainer.arguments`)."""
    data: dict[str, Any] = json.loads(resources.files("shared").joinpath("trl_arguments.json").read_text())
    return data


def _field_errors(error: ValidationError) -> list[FieldError]:
    return [_field_error(dict(item)) for item in error.errors(include_url=False, include_input=False)]


def _field_error(item: dict[str, Any]) -> FieldError:
    """One pydantic error, as field, problem and fix."""
    steps = [str(step) for step in item["loc"]]
    tags = _tags()
    field = ".".join(step for index, step in enumerate(steps) if not (index and step in tags and index == 2))
    kind, message = item["type"], item["msg"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(steps[-1], sorted(_known_fields() - {steps[-1]}), n=1)
        return FieldError(field, "is not a field of the spec", f"Did you mean {near[0]}?" if near else "Remove it.")
    if kind == "missing":
        return FieldError(field, "is missing", f"Add {steps[-1]}.")
    if kind.startswith("union_tag"):
        expected = str(item.get("ctx", {}).get("expected_tags", "")).replace("'", "")
        tag = str(item.get("ctx", {}).get("discriminator", "")).strip("'")
        return FieldError(f"{field}.{tag}", "is missing or unknown", f"Use one of: {expected}." if expected else "")
    text = message.removeprefix("Value error, ")
    return FieldError(field, text[0].lower() + text[1:], "")


@cache
def _tags() -> frozenset[str]:
    return frozenset(PROVIDERS) | frozenset(PROTOCOLS)


@cache
def _known_fields() -> frozenset[str]:
    """The names of all fields anywhere in a spec."""
    found: set[str] = set(PRESET_FIELDS)
    seen: set[Any] = set()

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and get_origin(annotation) is None:
            if annotation not in seen:
                seen.add(annotation)
                found.update(annotation.model_fields)
                for field in annotation.model_fields.values():
                    walk(field.annotation)
        elif get_origin(annotation) in {Union, types.UnionType} or get_args(annotation):
            for part in get_args(annotation):
                walk(part)

    walk(Spec)
    return frozenset(found)


def policy_of(spec: Spec, arm: Arm) -> str:
    """The name of an arm's policy."""
    return arm.policy or next(iter(spec.policies))
