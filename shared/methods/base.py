"""What a method of an arm's RL step is to a spec: what guides it, its beta, its loss's name, which settings clash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from shared.errors import FieldError

Guide = Literal["pairs", "reward", "teacher"]
SHARED_REFERENCE = "precompute_ref_log_probs"
"""TRL's argument by which a spec asks for a stage that computes the reference for all trainings with the same one."""


@dataclass(frozen=True)
class Preference:
    """One method. A subclass with `clashes` knows more of it than names and types."""

    name: str
    beta: float = 0.1
    """`rl.beta` where the spec gives none."""
    losses: str = "none"
    """How TRL takes its loss: `list`, `one`, or `none` where there is nothing to choose."""
    guide: Guide = "pairs"
    """What it learns from: a critic's labelled pairs; or, of completions that it samples itself at every step, what
    rewards them, or a teacher's probabilities of their tokens."""
    sampled: str = "how many a prompt gets is args.num_generations"
    """Of a method that samples for itself: how many completions of a prompt are compared, in words."""
    least_beta: float | None = None
    """The smallest `rl.beta`; None: anything above 0."""
    most_beta: float | None = None

    def loss_arguments(self, loss: str | Sequence[str] | None) -> dict[str, Any]:
        """`rl.loss` as TRL's argument."""
        if loss is None:
            return {}
        if self.losses == "list":
            return {"loss_type": [loss] if isinstance(loss, str) else list(loss)}
        return {"loss_type": loss}

    def loss_errors(self, field: str, loss: str | Sequence[str] | None) -> Iterator[FieldError]:
        """What is wrong with `rl.loss`, given under `field`, besides its name."""
        if loss is None:
            return
        if self.losses == "none":
            yield FieldError(field, f"{self.name} has one loss", "Remove it, or use another method.")
        elif self.losses == "one" and not isinstance(loss, str):
            yield FieldError(field, f"{self.name} takes one loss", "Write one name, not a list.")

    def beta_errors(self, field: str, beta: float | None) -> Iterator[FieldError]:
        """What is wrong with `rl.beta`, given under `field`."""
        if beta is None:
            return
        if beta == 0 if self.least_beta is None else beta < self.least_beta:
            yield FieldError(field, f"is {beta:g}", f"Write a number above 0, such as {self.beta or 0.1:g}.")
        elif self.most_beta is not None and beta > self.most_beta:
            fix = f"Write a number from {self.least_beta or 0:g} to {self.most_beta:g}."
            yield FieldError(field, f"is {beta:g}, above what {self.name} takes", fix)

    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        """What cannot be trained with, of arguments whose names and types are right. `field` is the arm's `rl`."""
        return iter(())
