"""Reading a spec: presets expanded, fields checked, names looked up; every mistake names its field and the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from shared.chat_templates import CHAT_TEMPLATES
from shared.engines import engine_errors
from shared.errors import BadInput, BadInputs, FieldError
from shared.gold import gold_errors
from shared.hardware import hardware_errors
from shared.llm.providers import ModelSpec
from shared.plan.beside import judged_beside
from shared.plan.evaluated import all_names, best_errors, evaluation_names
from shared.spec.battles import battle_errors, primary_errors
from shared.spec.beside import contrast_errors, taken_names
from shared.spec.errors import PRESET_FIELDS, field_errors, kind_of
from shared.spec.guide import guide_errors
from shared.spec.matrix import cells, matrix_errors
from shared.spec.model import Arm, Preset, Rl, Spec
from shared.spec.models import alike_errors, limit_errors, part_errors
from shared.spec.names import model_errors, one_of, unknown
from shared.spec.orders import order_errors
from shared.spec.recipes import (
    control_contrasts,
    control_errors,
    expand_controls,
    method_errors,
    own_errors,
    preset_controls,
)
from shared.spec.sweeps import steps_of, sweep_errors, trials
from shared.spec.training import training_errors
from shared.spec.worth import worth_errors
from shared.splits import rows_between

Check = Callable[[Spec], Iterator[FieldError]]

PRESETS = ("teacher_or_critic",)
MOST_SCORES = 10_000
"""Seeds × arms × evaluations: what is beyond takes minutes to plan alone."""
WELL_KNOWN = {
    "headline": ("rlaif-weak", "sft-strong"),
    "added": ("rlaif-strong", "sft-strong"),
    "net-weak": ("rlaif-weak", "sft-weak"),
    "gain-weak": ("rlaif-weak", "start-weak"),
    "gain-strong": ("rlaif-strong", "start-strong"),
    "swap": ("rlaif-weak", "swap-arm"),
    "distill": ("rlaif-weak", "distilled"),
    "teacher": ("sft-strong", "sft-weak"),
}
"""design.md's contrasts, by the arms' roles."""


def parse_spec(data: Any) -> Spec:
    """Check a spec (a mapping, as read from YAML or JSON).

    Raises:
        BadInputs: with one error for each mistake found.
    """
    if not isinstance(data, Mapping):
        raise BadInput("spec", f"is {kind_of(data)}", "Write a mapping with name, prompts, policies, arms …")
    whole = expand_controls(_expand_preset(dict(data)))
    try:
        spec = Spec.model_validate(whole)
    except ValidationError as error:
        raise BadInputs(own_errors(field_errors(error), whole)) from None
    checks: tuple[Check, ...] = (
        _whole,
        _critic_check,
        training_errors,
        limit_errors,
        lambda spec: engine_errors(spec.policies),
        _in_cells(_references),
        _in_cells(lambda cell: battle_errors(cell, players(cell))),
        _in_cells(method_errors),
        _in_cells(guide_errors),
        # Before all that looks at every setting of a grid: from here on there are few.
        _in_cells(sweep_errors),
        _in_cells(_training),
        _in_cells(hardware_errors),
        _in_cells(control_errors),
        _in_cells(order_errors),
        _in_cells(_judgement),
        _in_cells(gold_errors),
    )
    for check in checks:
        if errors := own_errors(dict.fromkeys(check(spec)), whole):
            raise BadInputs(errors)
    return spec


def start_arms(spec: Spec) -> dict[str, str]:
    """The start arm's name of each RL arm; arms with the same policy and SFT share one."""
    starts: dict[str, str] = {}
    named: dict[str, str] = {}
    # A start is called after the arm, not after a control of it that may stand before.
    for name, arm in sorted(spec.arms.items(), key=lambda item: item[1].control is not None):
        if arm.rl is not None:
            recipe = start_of(arm).model_dump_json()
            default = f"start-{name.removeprefix('rlaif-')}"
            starts[name] = named.setdefault(recipe, default)
    return starts


def start_of(arm: Arm) -> Arm:
    """The arm of an RL arm's or a control's start."""
    return arm.model_copy(update={"rl": None, "control": None})


def players(spec: Spec) -> list[str]:
    """Who can be judged against each other: all arms, each start before its RL arm, then who is judged beside them."""
    starts = start_arms(spec)
    arms = dict.fromkeys(found for arm in spec.arms for found in (starts.get(arm), arm) if found)
    return [*arms, *judged_beside(spec)]


def contrasts(spec: Spec) -> dict[str, tuple[str, str]]:
    """The contrasts that this spec's arms allow: its own, or design.md's where the arms have the well-known names."""
    if spec.contrasts:
        return dict(spec.contrasts)
    arms = set(spec.arms) | set(start_arms(spec).values())
    known = {name: pair for name, pair in WELL_KNOWN.items() if set(pair) <= arms}
    gains = {f"gain-{arm.removeprefix('rlaif-')}": (arm, start) for arm, start in start_arms(spec).items()}
    known |= {name: pair for name, pair in gains.items() if name not in known}
    return {**known, **control_contrasts(spec, known)}


def needed_models(entry: ModelSpec) -> dict[str, str]:
    """The names of other models that a model needs, by the field that names them."""
    return dict(entry.needs())


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
        raise BadInputs(field_errors(error, Preset)) from None
    own = {} if data.get("arms") is None else data["arms"]
    if not isinstance(own, Mapping):
        raise BadInput("arms", f"is {kind_of(own)}", "Write a mapping of arms, or leave it out: the preset has four.")
    rl = {"critic": preset.critic, **preset.rl}
    arms = {
        "sft-weak": {"sft": {"teacher": preset.weak}},
        "sft-strong": {"sft": {"teacher": preset.strong}},
        "rlaif-weak": {"sft": {"teacher": preset.weak, "fraction": preset.fraction}, "rl": rl},
        "rlaif-strong": {"sft": {"teacher": preset.strong, "fraction": preset.fraction}, "rl": rl},
    }
    rest = {name: value for name, value in data.items() if name not in PRESET_FIELDS}
    return {**rest, "arms": {**arms, **preset_controls(preset), **own}}


def _whole(spec: Spec) -> Iterator[FieldError]:
    """The matrix, the names on its axes, and how much all cells are together."""
    if errors := list(matrix_errors(spec)):
        yield from errors
        return
    if spec.matrix is not None:
        for name in spec.matrix.policies or ():
            if name not in spec.policies:
                yield unknown("matrix.policies", name, spec.policies, "policies")
        for field in ("critics", "judges"):
            names = getattr(spec.matrix, field) or ()
            for name in names:
                yield from model_errors(spec, f"matrix.{field}", name, "can_compare")
            yield from alike_errors(spec, names, [f"matrix.{field}"] * len(names), "which makes two cells of one")
    judged = (spec.evaluations[entry] for entry, _ in evaluation_names(spec).values())
    each = sum(len(one.pairs_of(players(spec))) if one.together else len(spec.arms) for one in judged)
    each += sum(trials(step) for arm in spec.arms.values() for step in steps_of(arm).values())
    scores = len(spec.seeds) * each * len(cells(spec))
    if scores > MOST_SCORES:
        problem = (
            f"with these arms and evaluations there are {scores:,} models to score, and {MOST_SCORES:,} is the most"
        )
        yield FieldError("seeds", problem, "Give fewer seeds, or split the spec.")


def _in_cells(check: Check) -> Check:
    """A check of every cell of a matrix."""
    return lambda spec: (error for cell in cells(spec).values() for error in check(cell))


def _references(spec: Spec) -> Iterator[FieldError]:
    """Every name that must be found elsewhere in the spec."""
    if len(set(spec.seeds)) != len(spec.seeds):
        yield FieldError("seeds", "the same seed stands there twice", "Give each seed once.")
    for name, policy in spec.policies.items():
        if sum(given is not None for given in (policy.model, policy.base, policy.declared)) != 1:
            problem = "needs exactly one of model, base and declared"
            yield FieldError(f"policies.{name}", problem, "Write `model: <name>`.")
        if policy.chat_template is not None and policy.chat_template not in CHAT_TEMPLATES:
            fix = f"{one_of(CHAT_TEMPLATES)} Or leave it out for the model's own."
            yield FieldError(f"policies.{name}.chat_template", f"{policy.chat_template!r} is unknown", fix)
    for name, arm in spec.arms.items():
        if arm.policy is None and len(spec.policies) > 1:
            yield FieldError(f"arms.{name}.policy", "is missing, and there are several policies", one_of(spec.policies))
        elif arm.policy is not None and arm.policy not in spec.policies:
            yield unknown(f"arms.{name}.policy", arm.policy, spec.policies, "policies")
        yield from model_errors(spec, f"arms.{name}.sft.teacher", arm.sft.teacher, "can_teach")
        if arm.rl is not None:
            if arm.rl.critic is not None:
                yield from model_errors(spec, f"arms.{name}.rl.critic", arm.rl.critic, "can_compare")
            if arm.rl.opponent is not None:
                yield from model_errors(spec, f"arms.{name}.rl.opponent", arm.rl.opponent, "can_teach")
    for name, evaluation in spec.evaluations.items():
        for field, model in evaluation.models().items():
            needs = "can_compare" if field in {"judge", "labels"} else "can_teach"
            if field == "model" and model in spec.models:
                continue  # the evaluation itself says what it can use
            yield from model_errors(spec, f"evaluations.{name}.{field}", model, needs)
        if all(model in spec.models for model in evaluation.models().values()):
            for error in evaluation.model_errors(spec.models):
                yield replace(error, field=f"evaluations.{name}.{error.field}")
    for name, entry in spec.models.items():
        for field, model in needed_models(entry).items():
            yield from model_errors(spec, f"models.{name}.{field}", model, "can_teach")
        yield from part_errors(spec, name, entry)
        if entry.asks is not None and entry.asks.logprobs and not entry.gives_logprobs:
            problem = f"is logprobs, which provider {entry.provider} does not give"
            yield FieldError(f"models.{name}.ask.verdict", problem, "Write `verdict: label`, or use another provider.")


def _critic_check(spec: Spec) -> Iterator[FieldError]:
    """Labels to check critics against are recorded ones, on prompts that there are."""
    check = spec.critic_check
    if check is None:
        return
    if errors := list(model_errors(spec, "critic_check.labels", check.labels, "can_compare")):
        yield from errors
    elif not spec.models[check.labels].records_preferences:
        fix = "Name a model with provider: recorded and `preferences:`."
        yield FieldError("critic_check.labels", f"{check.labels} has no recorded labels", fix)
    if getattr(spec.prompts, check.split) == 0:
        yield FieldError(
            "critic_check.split", f"is {check.split}, which has no prompts", f"Raise prompts.{check.split}."
        )


def _training(spec: Spec) -> Iterator[FieldError]:
    """What an RL arm needs."""
    train = spec.prompts.train
    for name, arm in spec.arms.items():
        _, used = rows_between(train, 0.0, arm.sft.fraction)
        if used == 0:
            problem = f"is {arm.sft.fraction:g}, which leaves the SFT step none of the {train} train prompts"
            yield FieldError(f"arms.{name}.sft.fraction", problem, "Write a larger fraction, or raise prompts.train.")
        if arm.rl is None:
            continue
        if used == train:
            yield FieldError(
                f"arms.{name}.sft.fraction",
                f"is {arm.sft.fraction:g}, which leaves no prompts for the RL step",
                "Write a smaller fraction, such as 0.1: RL uses the prompts that SFT did not.",
            )
        if arm.rl.critic is None or not arm.rl.on_pairs:
            continue
        yield from _pair_source(f"arms.{name}.rl", arm.rl)
        critic = spec.models[arm.rl.critic]
        if (arm.rl.pairs == "recorded") != critic.records_preferences:
            fix = "recorded" if critic.records_preferences else "on_policy or policy_vs_teacher"
            yield FieldError(
                f"arms.{name}.rl.pairs", f"critic {arm.rl.critic} cannot label {arm.rl.pairs} pairs", f"Write {fix}."
            )


def _pair_source(field: str, rl: Rl) -> Iterator[FieldError]:
    """Settings of one source of pairs that another one has no use for."""
    if rl.pairs == "on_policy" and rl.sampled < 2:
        yield FieldError(f"{field}.samples", "is 1, and a pair needs two", "Write 2 or more, or policy_vs_teacher.")
    if rl.pairs != "on_policy" and rl.choose != "first_two":
        yield FieldError(f"{field}.choose", f"means nothing for {rl.pairs} pairs", "Remove it, or write on_policy.")
    if rl.pairs != "recorded" and rl.per_prompt != 1:
        fix = "Remove it, or write `pairs: recorded`."
        yield FieldError(f"{field}.per_prompt", f"means nothing for {rl.pairs} pairs", fix)
    if rl.pairs == "recorded" and rl.samples is not None:
        yield FieldError(f"{field}.samples", "means nothing for recorded pairs", "Remove it, or write on_policy.")
    if rl.pairs != "policy_vs_teacher" and rl.opponent is not None:
        fix = "Remove it, or write `pairs: policy_vs_teacher`."
        yield FieldError(f"{field}.opponent", f"means nothing for {rl.pairs} pairs", fix)


def _judgement(spec: Spec) -> Iterator[FieldError]:
    """The contrasts and the primary."""
    yield from _starts(spec)
    arms = set(spec.arms) | set(start_arms(spec).values())
    yield from taken_names(spec)
    yield from contrast_errors(spec, arms, names := all_names(spec))
    pairs = contrasts(spec)
    if spec.primary.contrast not in pairs:
        fix = one_of(pairs) if pairs else "Name the arms sft-weak, sft-strong, rlaif-weak …, or write `contrasts:`."
        yield FieldError("primary.contrast", f"{spec.primary.contrast!r} is no contrast of these arms", fix)
    if spec.primary.evaluation not in names:
        yield unknown("primary.evaluation", spec.primary.evaluation, names, "evaluations")
    else:
        entry, at = names[spec.primary.evaluation]
        judged = spec.evaluations[entry]
        if refused := judged.not_primary(at, spec.evaluations):
            yield FieldError("primary.evaluation", f"{spec.primary.evaluation!r} {refused[0]}", refused[1])
        elif spec.primary.contrast in pairs:
            yield from primary_errors(spec, judged, pairs[spec.primary.contrast])
        yield from worth_errors(spec, judged)
    for name, evaluation in spec.evaluations.items():
        judge = evaluation.models().get("judge")
        if judge is not None and spec.models[judge].records_preferences:
            yield FieldError(
                f"evaluations.{name}.judge",
                f"{judge} only has recorded pairs and cannot judge new completions",
                "Name a model that can be asked.",
            )
    yield from best_errors(spec)
    for arm in spec.tuning_trials:
        if arm not in arms:
            yield unknown("tuning_trials", arm, arms, "arms")


def _starts(spec: Spec) -> Iterator[FieldError]:
    """The names of starts are taken: an arm, or another arm's start, of that name must have the same recipe."""
    taken: dict[str, Arm] = {}
    for name, start in start_arms(spec).items():
        recipe = start_of(spec.arms[name])
        if taken.setdefault(start, recipe) != recipe:
            problem = f"its start would be named {start!r}, as the different start of another arm is"
            yield FieldError(f"arms.{name}", problem, "Rename one of the two arms.")
    for start, recipe in taken.items():
        if spec.arms.get(start, recipe) != recipe:
            owner = next(name for name, named in start_arms(spec).items() if named == start)
            fix = "Give it another name; the start is planned and judged without an entry of its own."
            yield FieldError(f"arms.{start}", f"is also the name of the start of {owner}, another recipe", fix)
