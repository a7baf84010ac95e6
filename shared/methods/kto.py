"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306), which takes a pair apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import FieldError
from shared.methods.base import SHARED_REFERENCE, Preference

WITHOUT_KL = frozenset({"apo_zero_unpaired"})
"""The losses that estimate no KL term from a batch's mismatched completions."""


@dataclass(frozen=True)
class _Kto(Preference):
    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        if args.get("loss_type", "kto") in WITHOUT_KL:
            return
        if args.get(SHARED_REFERENCE):
            problem = (
                "cannot be shared: KTO's KL term needs it of mismatched completions, which the seed and batch choose"
            )
            fix = f"Remove it, or use the loss {', '.join(sorted(WITHOUT_KL))}, which has no such term."
            yield FieldError(f"{field}.args.{SHARED_REFERENCE}", problem, fix)
        if args.get("per_device_train_batch_size", 8) < 2:
            problem = "is below 2, and KTO estimates its KL term from the others of a batch"
            yield FieldError(f"{field}.args.per_device_train_batch_size", problem, "Write 2 or more.")
        if args.get("train_sampling_strategy", "sequential") != "sequential":
            problem = "breaks the pairing that KTO estimates its KL term from"
            fix = "Remove it: the rows are shuffled once, by the seed."
            yield FieldError(f"{field}.args.train_sampling_strategy", problem, fix)


KTO = _Kto("kto", losses="one")
