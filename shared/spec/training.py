"""What a spec says of how its policies are trained: what of it a stage's key holds, and what cannot be trained so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.errors import FieldError
from shared.hardware import arithmetic
from shared.spec.model import Policy, Rl, Sft, Spec

FLASH = "flash_attention"


def training_params(policy: Policy) -> dict[str, Any]:
    """A policy's part of a training's params. What came later is not in them where the spec does not say it, so that
    older trainings keep their keys."""
    lora = None if policy.lora is None else policy.lora.model_dump(mode="json", exclude={"quantize"})
    if lora is not None and policy.lora is not None and policy.lora.quantize is not None:
        lora["quantize"] = policy.lora.quantize
    params = {
        "chat_template": policy.chat_template,
        "precision": policy.precision,
        "max_length": policy.max_length,
        "lora": lora,
    }
    attention = {} if policy.attention is None else {"attention": policy.attention}
    return params | attention | arithmetic(policy.hardware, policy.precision)


def bound_params(step: Sft | Rl) -> dict[str, Any]:
    """The loss beyond which a training is given up, where the spec says one."""
    return {} if step.max_loss is None else {"max_loss": step.max_loss}


def training_options(spec: Spec, policy: Policy) -> dict[str, Any]:
    """What a trainer of a policy must know that changes no result."""
    told = {"report_to": list(spec.report_to)} if spec.report_to else {}
    return {**told, **policy.hardware.options()}


def training_errors(spec: Spec) -> Iterator[FieldError]:
    """Settings of a policy that do not go together."""
    for name, policy in spec.policies.items():
        if (policy.attention or "").startswith(FLASH) and policy.precision == "float32":
            problem = f"is {policy.attention}, which does not compute in float32"
            fix = "Write `precision: bfloat16` beside it, or `attention: sdpa`."
            yield FieldError(f"policies.{name}.attention", problem, fix)
