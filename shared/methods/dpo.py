"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290), with every loss of TRL's DPO trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import FieldError
from shared.methods.base import Preference

BY_DIFFERENCE = frozenset({"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"})
"""The losses that another f-divergence than reverse KL has a meaning for."""
SORTED = frozenset({"aot", "aot_unpaired"})
"""The losses that sort a batch, so that weights would meet the wrong pairs."""
SMOOTHED = SORTED | {"exo_pair", "robust"}
"""The losses that take label_smoothing; of any other one TRL reads it and does nothing with it."""


@dataclass(frozen=True)
class _Dpo(Preference):
    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        losses = list(args.get("loss_type") or ["sigmoid"])
        yield from _smoothing_errors(f"{field}.args.label_smoothing", losses, args.get("label_smoothing", 0.0))
        yield from _weight_errors(f"{field}.args.loss_weights", losses, args.get("loss_weights"))
        if args.get("f_divergence_type", "reverse_kl") != "reverse_kl" and not set(losses) <= BY_DIFFERENCE:
            others = ", ".join(sorted(set(losses) - BY_DIFFERENCE))
            problem = f"means nothing for the loss {others}"
            yield FieldError(f"{field}.args.f_divergence_type", problem, "Remove it, or use another loss.")
        if args.get("use_weighting") and not SORTED.isdisjoint(losses):
            problem = f"means nothing for the loss {', '.join(sorted(SORTED & set(losses)))}, which sorts the batch"
            yield FieldError(f"{field}.args.use_weighting", problem, "Remove it, or use another loss.")
        if "discopop" in losses and (tau := args.get("discopop_tau", 0.05)) <= 0:
            yield FieldError(f"{field}.args.discopop_tau", f"is {tau:g}", "Write a number above 0, such as 0.05.")
        if (alpha := args.get("ld_alpha")) is not None and not 0 <= alpha <= 1:
            yield FieldError(f"{field}.args.ld_alpha", f"is {alpha:g}", "Write a number from 0 to 1.")


def _smoothing_errors(field: str, losses: list[str], smoothing: float) -> Iterator[FieldError]:
    if "exo_pair" in losses and smoothing == 0:
        yield FieldError(field, "is 0, and the loss exo_pair takes its logarithm", "Write 0.001, as its paper does.")
    elif not 0 <= smoothing < 0.5:
        why = ", and the loss robust divides by 1 − 2 × it" if "robust" in losses else ""
        problem = f"is {smoothing:g}{why}: as a share of wrong labels, a half says that labels mean nothing"
        yield FieldError(field, problem, "Write a number from 0 to below 0.5.")
    elif smoothing and SMOOTHED.isdisjoint(losses):
        problem = f"means nothing for the loss {', '.join(losses)}"
        yield FieldError(field, problem, f"Remove it, or use one of the losses {', '.join(sorted(SMOOTHED))}.")


def _weight_errors(field: str, losses: list[str], weights: list[Any] | None) -> Iterator[FieldError]:
    if weights is None:
        return
    if len(weights) != len(losses):
        yield FieldError(
            field, f"has {len(weights)} weights for {len(losses)} losses", "Give one weight for each loss."
        )
    for number, weight in enumerate(weights):
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            yield FieldError(f"{field}.{number}", f"{weight!r:.60} is no number", "Write a number.")


DPO = _Dpo("dpo", losses="list")
