"""The engine seam: a server of one checkpoint, spoken to over HTTP whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Serve:
    """What to serve and how. Equal values can share an engine. `lock` guards the hardware among this host's workers."""

    folder: Path
    dtype: str
    chat_template: str | None
    threads: int
    lock: Path
    trust_remote_code: bool = False


class Engine(Protocol):
    """A running engine. `url` ends in /v1, `model` is what requests call the checkpoint."""

    url: str
    model: str

    def __init__(self, serve: Serve) -> None:
        """Start it and wait until it answers. Raises `StageError` where it does not."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def close(self) -> None:
        """End it; a second call does nothing."""
