"""Every error that Touchstone raises itself, as a tree.

TouchstoneError
├── BadInput            a person's input is wrong: names the field and the fix; ends a stage at once
│   └── BadInputs       several of them at once (a spec with three mistakes)
├── StageError          the work failed; counted, three of them fail a stage
│   └── PermanentError  it would fail again (wrong API key): fails the stage at once
├── Outage              broker, store or endpoint is away, or money is out: never counted, the stage waits
│   └── Later           nothing is away, but what is waited for is not there yet: looked at again at a given time
└── Stopped             the work must end now, through no fault of its own (cancelled, lease lost)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TouchstoneError(Exception):
    """Base of all of Touchstone's errors."""


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with a person's input."""

    field: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}. {self.fix}" if self.fix else f"{self.field}: {self.problem}"


class BadInput(TouchstoneError):
    """A person's input is wrong. `field` is a path into it (`arms.rlaif-weak.sft.teacher`)."""

    def __init__(self, field: str, problem: str, fix: str = "") -> None:
        self.errors: tuple[FieldError, ...] = (FieldError(field, problem, fix),)
        super().__init__(str(self.errors[0]))

    @property
    def field(self) -> str:
        return self.errors[0].field

    @property
    def problem(self) -> str:
        return self.errors[0].problem

    @property
    def fix(self) -> str:
        return self.errors[0].fix


class BadInputs(BadInput):
    """Several things are wrong; `errors` has them all."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        first = errors[0]
        super().__init__(first.field, first.problem, first.fix)
        self.errors = tuple(errors)
        self.args = ("; ".join(str(error) for error in errors),)


class StageError(TouchstoneError):
    """The work of a stage failed; it is tried three times."""


class PermanentError(StageError):
    """The work would fail again in the same way: the stage fails at once."""


class Outage(TouchstoneError):
    """Something outside the work is away. The stage waits with this reason and is tried again."""


class Later(Outage):
    """What the work waits for goes on without it. It gives its worker back and is tried again in `seconds`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Stopped(TouchstoneError):
    """The work must end now: cancelled, lease lost, deadline passed or the worker is shutting down."""
