"""Trainings on several GPUs: the batch is divided among them, so that what is trained stays what the spec says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shared.errors import FieldError
from shared.spec.names import policy_of
from shared.spec.recipes import rl_arguments
from shared.trl import ACCUMULATION, BATCH, batch_of

if TYPE_CHECKING:
    from shared.spec.model import Spec


def divided(args: Mapping[str, Any], gpus: int) -> dict[str, Any] | None:
    """One rank's arguments: the same examples a step, over all ranks. None where they cannot be divided evenly."""
    batch, accumulation = batch_of(args)
    if accumulation % gpus == 0:
        return {**args, BATCH: batch, ACCUMULATION: accumulation // gpus}
    if batch % gpus == 0:
        return {**args, BATCH: batch // gpus, ACCUMULATION: accumulation}
    return None


def hardware_errors(spec: Spec) -> Iterator[FieldError]:
    """Policies whose arms have batches that their GPUs cannot divide."""
    for name, arm in spec.arms.items():
        policy = policy_of(spec, arm)
        if policy not in spec.policies or (gpus := spec.policies[policy].hardware.gpus) == 1:
            continue
        given = [{**spec.defaults.sft, **arm.sft.args}]
        if arm.rl is not None:
            given.append(rl_arguments(arm.rl, spec.defaults.rl))
        own = arm.control is not None and arm.control.trains_reward
        if arm.rl is not None and (arm.rl.reward is not None or own):
            given.append({**spec.defaults.reward, **(arm.rl.reward.args if arm.rl.reward is not None else {})})
        if any(divided(args, gpus) is None for args in given):
            problem = f"is {gpus}, which divides neither {BATCH} nor {ACCUMULATION} of {name}"
            fix = f"Make one of the two a multiple of {gpus}, in the arm's args or under defaults."
            yield FieldError(f"policies.{policy}.hardware.gpus", problem, fix)
