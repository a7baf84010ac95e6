"""Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), and RLOO (Ahmadian et al. 2024, arXiv
2402.14740): rewards of several completions of one prompt, compared with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import FieldError
from shared.methods.base import Preference
from shared.trl import batch_of

LEVELS = {"luspo": "sequence", "vespo": "token"}
"""The losses for which TRL takes one importance_sampling_level alone."""


@dataclass(frozen=True)
class _Grouped(Preference):
    group: int = 8
    """TRL's own num_generations."""

    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        group = args.get("num_generations", self.group)
        at_once, times = batch_of(args)
        batch = at_once * times
        if group is None or group < 2:
            problem = f"is {group}, and a completion is compared with the others of its prompt"
            yield FieldError(f"{field}.args.num_generations", problem, "Write 2 or more.")
        elif batch % group:
            problem = f"is {group}, which does not divide a step's {batch} completions"
            fix = "A step has per_device_train_batch_size × gradient_accumulation_steps: make it a multiple."
            yield FieldError(f"{field}.args.num_generations", problem, fix)
        level, loss = args.get("importance_sampling_level", "token"), args.get("loss_type")
        if loss in LEVELS and level != LEVELS[loss]:
            problem = f"is {level}, and the loss {loss} weighs by {LEVELS[loss]}"
            yield FieldError(f"{field}.args.importance_sampling_level", problem, f"Write {LEVELS[loss]}.")


GRPO = _Grouped("grpo", beta=0.0, losses="one", guide="reward", least_beta=0.0)
"""beta weighs the KL divergence from the start; with 0, as TRL has it, there is no reference."""
RLOO = _Grouped("rloo", beta=0.05, guide="reward", least_beta=0.0, group=2)
