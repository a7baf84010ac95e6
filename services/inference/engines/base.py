"""The engine seam: something that serves one model over HTTP.

`Engines` starts one for a `Serving`; equal servings share it. To add an engine: a module here with a class of this
protocol, and its line in engines/__init__.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Client = Literal["openai", "tgi"]
Check = Callable[[], None]
"""Called while waiting; raises `Stopped` when the work must end."""
Note = Callable[[str], None]
"""Takes what is waited for, in words."""


def quiet(note: str) -> None:
    """The note that nobody takes."""


@dataclass(frozen=True)
class Serving:
    """What is to be served.

    `engine` is a name of the registry; `url` is where an external engine runs already; a managed one takes
    `folder` (the model, or the base of the `adapter` in another folder), `dtype`, `chat_template` (a name), and a
    spec's `arguments` by name.
    """

    engine: str
    url: str | None = None
    folder: Path | None = None
    dtype: str = "float32"
    chat_template: str | None = None
    adapter: Path | None = None
    arguments: tuple[tuple[str, Any], ...] = ()


class EngineLost(Exception):
    """The engine ended, or cannot be reached, in the middle of the work."""


class Engine(Protocol):
    """A running engine. `url` has no /v1; `model` is what requests call it; `client` says which client it is spoken to
    with; `managed` that it is ours to start again; `together` that one request brings several samples, each by random
    numbers of its own and with its tokens."""

    url: str
    model: str
    client: Client
    managed: bool
    together: bool

    def healthy(self) -> bool:
        """Whether it answers."""

    def last_words(self) -> str:
        """The end of what it has written, for a log; empty where that is not ours to read."""

    def end(self) -> None:
        """End it and wait until it is gone; nothing for an engine that is not ours."""


class Starter(Protocol):
    """Starts engines of one sort."""

    def start(self, serving: Serving, check: Check, note: Note = quiet) -> Engine:
        """Start one and wait until it answers; `note` hears what it waits for.

        Raises:
            PermanentError, BadInput: it can never serve this model.
            StageError: it ended while it started.
            Outage: a server that is said to run does not answer, or this machine lacks the engine.
            Stopped: `check` said so.
        """

    def close(self) -> None:
        """Give back what is kept between engines."""
