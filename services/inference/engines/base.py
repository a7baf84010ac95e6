"""The engine seam: something that serves one model over HTTP.

`Engines` starts one for a `Serving`; equal servings share it. To add an engine: a module here with a class of this
protocol, and its line in engines/__init__.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Client = Literal["openai", "tgi"]
Check = Callable[[], None]
"""Called while waiting; raises `Stopped` when the work must end."""


@dataclass(frozen=True)
class Serving:
    """What is to be served.

    `engine` is a name of the registry; `url` is where an external engine runs already; a managed one takes
    `folder` (the model), `dtype` and `chat_template` (a name).
    """

    engine: str
    url: str | None = None
    folder: Path | None = None
    dtype: str = "float32"
    chat_template: str | None = None


class EngineLost(Exception):
    """The engine ended, or cannot be reached, in the middle of the work."""


class Engine(Protocol):
    """A running engine. `url` has no /v1; `model` is what requests call it; `client` says which client it is spoken to
    with; `managed` that it is ours to start again, and answers requests for several samples token by token."""

    url: str
    model: str
    client: Client
    managed: bool

    def healthy(self) -> bool:
        """Whether it answers."""

    def end(self) -> None:
        """End it and wait until it is gone; nothing for an engine that is not ours."""


class Starter(Protocol):
    """Starts engines of one sort."""

    def start(self, serving: Serving, check: Check) -> Engine:
        """Start one and wait until it answers.

        Raises:
            PermanentError, BadInput: it can never serve this model.
            StageError: it ended while it started.
            Outage: a server that is said to run does not answer.
            Stopped: `check` said so.
        """

    def close(self) -> None:
        """Give back what is kept between engines."""
