"""Online DPO (Guo et al. 2024, arXiv 2402.04792): at every step the policy samples two completions of a prompt, and the
one that is rewarded higher is the chosen one of a pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import FieldError
from shared.methods.base import Preference


@dataclass(frozen=True)
class _OnlineDpo(Preference):
    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        penalty = args.get("missing_eos_penalty")
        if penalty is not None and penalty <= 0:
            problem = f"is {penalty:g}, and would reward a completion for not ending"
            yield FieldError(f"{field}.args.missing_eos_penalty", problem, "Write a number above 0, or remove it.")


ONLINE_DPO = _OnlineDpo("online_dpo", losses="one", guide="reward", sampled="a prompt always gets two completions")
