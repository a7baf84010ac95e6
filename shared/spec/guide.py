"""What guides an arm's RL step: a critic's pairs, what rewards each completion, or a teacher's probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.errors import FieldError
from shared.methods import PREFERENCES
from shared.spec.model import Arm, Rl, Spec
from shared.spec.names import one_of, policy_of, unknown
from shared.trl import check_arguments

OF_PAIRS: dict[str, Any] = {
    name: Rl.model_fields[name].default for name in ("pairs", "samples", "choose", "opponent", "per_prompt")
}
"""The settings of labelled pairs, as they are where a spec says nothing of them."""


def guide_errors(spec: Spec) -> Iterator[FieldError]:
    """What a method lacks, and what it has no use for. Methods and critics are known to be there."""
    yield from check_arguments("defaults.reward", "reward", spec.defaults.reward)
    for name, arm in spec.arms.items():
        if arm.rl is None:
            continue
        field, guide = f"arms.{name}.rl", PREFERENCES[arm.rl.method].guide
        if guide == "teacher":
            yield from _taught(spec, name, arm, arm.rl)
        elif arm.rl.critic is None:
            fitting = [other for other, entry in spec.models.items() if entry.can_compare]
            yield FieldError(f"{field}.critic", "is missing", one_of(fitting))
        elif guide == "reward":
            yield from _rewarded(spec, field, arm.rl)
        if guide != "teacher":
            yield from _unused(field, arm.rl, ("teacher",))
        if guide == "pairs":
            yield from _unused(field, arm.rl, ("reward",))
        else:
            yield from _sampling_errors(spec, name, arm, arm.rl)


def _unused(field: str, rl: Rl, names: tuple[str, ...]) -> Iterator[FieldError]:
    for name in names:
        if getattr(rl, name) not in (None, OF_PAIRS.get(name)):
            yield FieldError(f"{field}.{name}", f"means nothing for {rl.method}", "Remove it, or use another method.")


def _taught(spec: Spec, name: str, arm: Arm, rl: Rl) -> Iterator[FieldError]:
    """distill learns from an arm of the spec or from an untrained policy, and from nobody else."""
    field = f"arms.{name}.rl"
    yield from _unused(field, rl, ("critic", "reward", *OF_PAIRS))
    teacher = rl.teacher
    if teacher is None or (teacher.arm is None) == (teacher.policy is None):
        problem = "is missing" if teacher is None else "needs exactly one of arm and policy"
        fix = f"Write `teacher: {{arm: …}}`, its model of the same seed, or {{policy: …}}. {one_of(spec.arms)}"
        yield FieldError(f"{field}.teacher", problem, fix)
    elif teacher.policy is not None and teacher.policy not in spec.policies:
        yield unknown(f"{field}.teacher.policy", teacher.policy, spec.policies, "policies")
    elif teacher.policy is not None and teacher.policy == policy_of(spec, arm):
        problem = f"{teacher.policy} is the very model that {name} was trained from"
        yield FieldError(f"{field}.teacher.policy", problem, "Name another policy, or an arm.")
    elif teacher.arm is not None:
        others = {
            other: one
            for other, one in spec.arms.items()
            if one.rl is None or PREFERENCES[one.rl.method].guide != "teacher"
        }
        if teacher.arm not in spec.arms:
            yield unknown(f"{field}.teacher.arm", teacher.arm, others, "arms")
        elif teacher.arm not in others:
            yield FieldError(f"{field}.teacher.arm", f"{teacher.arm} is distilled itself", one_of(others))


def _rewarded(spec: Spec, field: str, rl: Rl) -> Iterator[FieldError]:
    """Within a training only a check or a checkpoint answers fast and often enough to reward every completion."""
    assert rl.critic is not None
    entry = spec.models[rl.critic]
    if rl.reward is not None:
        yield from check_arguments(f"{field}.reward.args", "reward", rl.reward.args)
    elif not entry.can_reward:
        fitting = [other for other, one in spec.models.items() if one.can_reward]
        fix = (
            "Write `reward: {}`, which trains a reward model on its labels, or name a model with provider: verifiable "
        )
        fix += "or reward_model" + (f": {', '.join(fitting)}." if fitting else ".")
        problem = f"{rl.critic} (provider {entry.provider}) cannot reward completions within a training"
        yield FieldError(f"{field}.critic", problem, fix)
    else:
        for error in _unused(field, rl, tuple(OF_PAIRS)):
            problem = f"means nothing where {rl.critic} rewards each completion"
            fix = f"Remove it; {PREFERENCES[rl.method].sampled}. With `reward: {{}}` there are pairs."
            yield FieldError(error.field, problem, fix)


def _sampling_errors(spec: Spec, name: str, arm: Arm, rl: Rl) -> Iterator[FieldError]:
    """What does not go with completions that are sampled at every step."""
    if rl.rounds > 1:
        fix = "Remove it: it samples from the newest policy at every step."
        yield FieldError(f"arms.{name}.rl.rounds", f"means nothing for {rl.method}", fix)
    policy, known = spec.policies[policy_of(spec, arm)], f"policies.{policy_of(spec, arm)}"
    if policy.stop:
        problem = f"{rl.method} samples in training, which ends a completion at the model's end tokens alone"
        yield FieldError(f"{known}.stop", problem, f"Remove it, or give {name} another method.")
    if policy.max_length is not None and policy.max_length <= policy.max_tokens:
        problem = f"is {policy.max_tokens}, and max_length {policy.max_length} leaves no room for a prompt before it"
        yield FieldError(f"{known}.max_tokens", problem, f"{rl.method} samples that many in training: lower it.")
