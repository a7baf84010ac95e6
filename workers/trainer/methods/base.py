"""What a training method is.

Nothing here, nor at the top of a method's file, imports torch: the worker reads methods too.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from shared.errors import PermanentError

if TYPE_CHECKING:
    from workers.trainer.job import Job


class Method(ABC):
    """One way to train: the TRL trainer it uses, the rows it takes, and what it proves before its first step."""

    name: ClassVar[str]
    module: ClassVar[str] = "trl"
    """Where TRL has its classes: what is experimental lies elsewhere, and not in every TRL."""
    config: ClassVar[str]
    """TRL's configuration class."""
    trainer: ClassVar[str]
    """TRL's trainer class."""
    tables: ClassVar[str]
    """The stage's input that holds the rows, and the file in it. Several inputs are named `<input>/0`, `<input>/1`."""
    model: ClassVar[str]
    """The stage's input that holds the model to train."""
    cuts: ClassVar[bool] = True
    """Whether TRL's configuration takes max_length."""
    classifies: ClassVar[bool] = False
    """Whether it trains a sequence classifier with one output, and not a language model."""
    owned: ClassVar[frozenset[str]] = frozenset()
    """Arguments that a spec may not set, besides those that no method leaves to it (`owned.py`)."""

    @abstractmethod
    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        """The training rows, as columns of text, from the inputs' tables.

        Raises:
            PermanentError: a row cannot be trained on, or none is left.
        """

    @abstractmethod
    def example(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row as TRL takes it, with messages for texts."""

    def examples(self, rows: Any, tokenizer: Any, job: Job) -> Any:
        """The examples as TRL is given them: in another order, or without those that it cannot take."""
        return rows

    def tokenizing(self, tokenizer: Any) -> AbstractContextManager[None]:
        """What must hold of the tokenizer while TRL makes tokens of the examples."""
        return nullcontext()

    def arguments(self, job: Job) -> dict[str, Any]:
        """What this method sets of its configuration, over the spec's arguments."""
        return {}

    def adapted(self, trainer: type[Any], job: Job) -> type[Any]:
        """TRL's trainer class as this job needs it.

        Raises:
            PermanentError: the installed TRL's cannot be had so.
        """
        return trainer

    def companions(self, model: Any, tokenizer: Any, job: Job) -> dict[str, Any]:
        """What TRL's trainer is given besides the model and the rows: what rewards, or a teacher.

        Raises:
            PermanentError: it cannot be loaded, or does not go with the model.
        """
        return {}

    def changed(self, trainer: Any) -> Any:
        """TRL's trainer as it is to take its first step."""
        return trainer

    @abstractmethod
    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        """Called before the first step: checks that TRL set up what was meant, and counts for the metrics.

        `rows` are the examples as TRL was given them.

        Raises:
            PermanentError: it did not.
        """

    def outcome(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        """Called after the last step: what the metrics say of the trained model. `rows` are all that it was given."""
        return {}

    def trained_tokens(self, trainer: Any) -> int | None:
        """The tokens trained on, of a trainer that does not count them itself."""
        return None

    def classes(self) -> tuple[type[Any], type[Any]]:
        """TRL's configuration and trainer class. Importing them takes seconds.

        Raises:
            PermanentError: the installed TRL has none.
        """
        # TRL's own notice that experimental parts may change is no news for a stage's log.
        os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
        try:
            module = import_module(self.module)
            return getattr(module, self.config), getattr(module, self.trainer)
        except (ImportError, AttributeError) as error:
            import trl

            raise PermanentError(
                f"rl.method {self.name}: the installed TRL {trl.__version__} has no {self.trainer} in {self.module}; "
                "use another method, or the TRL of requirements.lock"
            ) from error


def turn(role: str, content: str) -> list[dict[str, str]]:
    """One message, as a conversation."""
    return [{"role": role, "content": content}]
