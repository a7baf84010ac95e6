"""What of an RL step's arguments is about its reference: whether a stage of its own computes it, and what that takes.

The stage `reference` has the start's log-probabilities of the chosen and rejected completion of every pair. Its key
holds what changes them: start and pairs, template, precision, max_length, attention, quantized weights, and those of
TRL's arguments that reach a forward pass. Beta, loss, learning rate and seed are the trainings' own, and so arms that
differ in them alone share it; adapters too, since the reference is what lies beneath them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.methods import SHARED_REFERENCE
from shared.spec.model import Policy
from shared.spec.training import training_params
from shared.trl import AT_ONCE

REACHING = frozenset(
    {
        AT_ONCE,
        "ld_alpha",
        "liger_kernel_config",
        "pad_to_multiple_of",
        "tf32",
        "torch_compile",
        "torch_compile_backend",
        "torch_compile_mode",
        "truncation_mode",
        "use_liger_kernel",
    }
)
"""TRL's arguments that change a reference's log-probabilities, if only by rounding."""


def is_shared(args: Mapping[str, Any]) -> bool:
    """Whether an RL step's arguments ask for the stage."""
    return bool(args.get(SHARED_REFERENCE, False))


def own_arguments(args: Mapping[str, Any]) -> dict[str, Any]:
    """The training's arguments without those that are the stage's; without the question itself where the answer is no,
    which leaves trainings the keys that they have without it."""
    taken = {SHARED_REFERENCE, AT_ONCE} if is_shared(args) else {SHARED_REFERENCE}
    return {name: value for name, value in args.items() if name not in taken}


def reference_params(policy: Policy, args: Mapping[str, Any]) -> dict[str, Any]:
    """The stage's params."""
    params = {name: value for name, value in training_params(policy).items() if name != "lora"}
    if policy.lora is not None and policy.lora.quantize is not None:
        params["quantize"] = policy.lora.quantize
    return {**params, "args": {name: value for name, value in args.items() if name in REACHING}}
