"""What a preference method is to a spec: its strength by default, how its loss is named, and which settings clash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.errors import FieldError


@dataclass(frozen=True)
class Preference:
    """One preference method. A subclass with `clashes` knows more of it than names and types."""

    name: str
    beta: float = 0.1
    """`rl.beta` where the spec gives none."""
    losses: str = "none"
    """How TRL takes its loss: `list`, `one`, or `none` where there is nothing to choose."""

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

    def clashes(self, field: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
        """What cannot be trained with, of arguments whose names and types are right. `field` is the arm's `rl`."""
        return iter(())
