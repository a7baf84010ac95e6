"""Trainings on several GPUs: the batch is divided among them, so that what is trained stays what the spec says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.errors import FieldError
from shared.methods import PREFERENCES, SHARED_REFERENCE
from shared.spec.names import policy_of
from shared.spec.recipes import rl_arguments
from shared.spec.sweeps import as_tried, settings
from shared.trl import ACCUMULATION, BATCH, batch_of

if TYPE_CHECKING:
    from shared.spec.model import Hardware, Rl, Spec


def divided(args: Mapping[str, Any], gpus: int) -> dict[str, Any] | None:
    """One rank's arguments: the same examples a step, over all ranks. None where they cannot be divided evenly."""
    batch, accumulation = batch_of(args)
    if accumulation % gpus == 0:
        return {**args, BATCH: batch, ACCUMULATION: accumulation // gpus}
    if batch % gpus == 0:
        return {**args, BATCH: batch // gpus, ACCUMULATION: accumulation}
    return None


def layout(options: Mapping[str, Any]) -> str:
    """What a training must be to go on from another's checkpoint, by a stage's options: the files are those of a whole
    model (`ddp`), of FSDP, or one of each of DeepSpeed's ranks."""
    strategy = str(options.get("strategy", "ddp"))
    return f"{strategy}-{options.get('zero_stage', 2)}-{options['gpus']}" if strategy == "deepspeed" else strategy


def arithmetic(hardware: Hardware, precision: str) -> dict[str, str]:
    """What of a strategy a stage's key holds: it, where it computes in other numbers than one GPU would.

    In float32 a divided model's sums come in another order, as on another number of GPUs, and that is all. In bfloat16
    one GPU multiplies in it and keeps what lies between in float32 (autocast); a divided model's weights are bfloat16
    themselves while it computes, and what lies between with them.
    """
    other = hardware.gpus > 1 and hardware.strategy != "ddp" and precision == "bfloat16"
    return {"strategy": hardware.strategy} if other else {}


def strategy_errors(spec: Spec) -> Iterator[FieldError]:
    """Strategies that share out what is not there, or what cannot be shared."""
    for name, policy in spec.policies.items():
        given, field = policy.hardware, f"policies.{name}.hardware"
        if given.zero_stage is not None and given.strategy != "deepspeed":
            yield FieldError(
                f"{field}.zero_stage",
                f"is {given.zero_stage}, and hardware.strategy is {given.strategy}",
                "Write `strategy: deepspeed` beside it, or leave it out.",
            )
        if given.strategy == "ddp":
            continue
        if given.gpus == 1:
            yield FieldError(
                f"{field}.strategy",
                f"is {given.strategy}, and on one GPU there is nobody to share with",
                "Write `gpus: 2` or more beside it, or leave it out.",
            )
        if policy.lora is not None and policy.lora.quantize is not None:
            yield FieldError(
                f"{field}.strategy",
                f"is {given.strategy}, which does not divide weights in 4 bits (lora.quantize)",
                "Write `strategy: ddp`, or leave lora.quantize out.",
            )
    for arm_name, arm in spec.arms.items():
        policy_name = policy_of(spec, arm)
        if policy_name in spec.policies and arm.rl is not None:
            yield from _unshared(spec, policy_name, arm_name, arm.rl)


def _unshared(spec: Spec, policy: str, arm: str, rl: Rl) -> Iterator[FieldError]:
    """What an arm asks of a model that no GPU holds whole, and it cannot do."""
    strategy, method = spec.policies[policy].hardware.strategy, PREFERENCES.get(rl.method)
    if strategy == "ddp" or method is None:
        return
    if method.guide != "pairs":
        yield FieldError(
            f"policies.{policy}.hardware.strategy",
            f"is {strategy}, and {arm}'s rl.method {rl.method} samples while it trains, which a model that no GPU "
            "holds whole does not do here",
            "Write `strategy: ddp`, or give that arm another method, such as dpo.",
        )
    elif rl_arguments(rl, spec.defaults.rl).get(SHARED_REFERENCE):
        yield FieldError(
            f"policies.{policy}.hardware.strategy",
            f"is {strategy}, and {arm} asks for {SHARED_REFERENCE}, a stage that wants the whole model on one GPU",
            f"Write `strategy: ddp`, or leave {SHARED_REFERENCE} out: the training computes it then, divided.",
        )


def hardware_errors(spec: Spec) -> Iterator[FieldError]:
    """Policies whose arms have batches that their GPUs cannot divide, and strategies that do not go with the rest."""
    yield from strategy_errors(spec)
    for name, arm in spec.arms.items():
        policy = policy_of(spec, arm)
        if policy not in spec.policies or (gpus := spec.policies[policy].hardware.gpus) == 1:
            continue
        given = [{**spec.defaults.sft, **as_tried(arm.sft, one).args} for one in settings(arm.sft)]
        if arm.rl is not None:
            given += [rl_arguments(as_tried(arm.rl, one), spec.defaults.rl) for one in settings(arm.rl)]
        own = arm.control is not None and arm.control.trains_reward
        if arm.rl is not None and (arm.rl.reward is not None or own):
            given.append({**spec.defaults.reward, **(arm.rl.reward.args if arm.rl.reward is not None else {})})
        if any(divided(args, gpus) is None for args in given):
            problem = f"is {gpus}, which divides neither {BATCH} nor {ACCUMULATION} of {name}"
            fix = f"Make one of the two a multiple of {gpus}, in the arm's args or under defaults."
            yield FieldError(f"policies.{policy}.hardware.gpus", problem, fix)
