"""What a training method is.

Nothing here, nor at the top of a method's file, imports torch: the worker reads methods too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

if TYPE_CHECKING:
    from workers.trainer.job import Job


class Method(ABC):
    """One way to train: the TRL trainer it uses, the rows it takes, and what it proves before its first step."""

    name: ClassVar[str]
    config: ClassVar[str]
    """TRL's configuration class."""
    trainer: ClassVar[str]
    """TRL's trainer class."""
    tables: ClassVar[str]
    """The stage's input that holds the rows, and the file in it. Several inputs are named `<input>/0`, `<input>/1`."""
    model: ClassVar[str]
    """The stage's input that holds the model to train."""
    owned: ClassVar[frozenset[str]] = frozenset()
    """Arguments that a spec may not set, besides those that no method leaves to it (`owned.py`)."""

    @abstractmethod
    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        """The training rows, as columns of text, from the inputs' tables.

        Raises:
            PermanentError: a row cannot be trained on, or none is left.
        """

    @abstractmethod
    def example(self, row: dict[str, str]) -> dict[str, Any]:
        """A row as TRL takes it, with messages for texts."""

    def arguments(self, job: Job) -> dict[str, Any]:
        """What this method sets of its configuration, over the spec's arguments."""
        return {}

    @abstractmethod
    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        """Called before the first step: checks that TRL set up what was meant, and counts for the metrics.

        `rows` are the examples as TRL was given them.

        Raises:
            PermanentError: it did not.
        """


def turn(role: str, content: str) -> list[dict[str, str]]:
    """One message, as a conversation."""
    return [{"role": role, "content": content}]
