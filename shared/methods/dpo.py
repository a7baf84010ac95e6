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


@dataclass(frozen=True)
class _Dpo(Preference):
    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        losses, weights = list(args.get("loss_type") or ["sigmoid"]), args.get("loss_weights")
        smoothing = args.get("label_smoothing", 0.0)
        if "exo_pair" in losses and smoothing == 0:
            problem = "is 0, and the loss exo_pair takes its logarithm"
            yield FieldError(f"{field}.args.label_smoothing", problem, "Write 0.001, as its paper does.")
        if "robust" in losses and not 0 <= smoothing < 0.5:
            problem = f"is {smoothing:g}, and the loss robust divides by 1 − 2 × it"
            yield FieldError(f"{field}.args.label_smoothing", problem, "Write a number from 0 to below 0.5.")
        if args.get("f_divergence_type", "reverse_kl") != "reverse_kl" and not set(losses) <= BY_DIFFERENCE:
            others = ", ".join(sorted(set(losses) - BY_DIFFERENCE))
            problem = f"means nothing for the loss {others}"
            yield FieldError(f"{field}.args.f_divergence_type", problem, "Remove it, or use another loss.")
        if args.get("use_weighting") and not SORTED.isdisjoint(losses):
            problem = f"means nothing for the loss {', '.join(sorted(SORTED & set(losses)))}, which sorts the batch"
            yield FieldError(f"{field}.args.use_weighting", problem, "Remove it, or use another loss.")
        if weights is not None and len(weights) != len(losses):
            problem = f"has {len(weights)} weights for {len(losses)} losses"
            yield FieldError(f"{field}.args.loss_weights", problem, "Give one weight for each loss.")


DPO = _Dpo("dpo", losses="list")
