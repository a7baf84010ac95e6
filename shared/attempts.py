"""Attempts' markers: how the conductor knows errors and lost attempts after any restart.

Each attempt leaves `scratch/<stage>/attempts/<unit>.<attempt>.json` when it starts and writes its outcome there when it
ends. A marker without an outcome whose lease is gone is a lost attempt (its worker was killed).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel
from ulid import ULID

from shared.store import NotFound, ObjectStore
from shared.units import Unit

ERRORS_ALLOWED = 3
LOST_ALLOWED = 5

Outcome = Literal["error", "waiting", "stopped", "committed"]


class Marker(BaseModel):
    """One attempt's marker."""

    schema_: str = "touchstone/attempt/1"
    attempt: str
    experiment: str
    generation: int
    host: str
    pid: int
    started: str
    steps: int = 0
    outcome: Outcome | None = None
    permanent: bool = False
    message: str = ""
    retry_after: float | None = None
    """waiting: seconds until the next attempt, where this one knew."""


class Attempt:
    """The marker of the attempt that this process makes."""

    def __init__(self, unit: Unit) -> None:
        self.id = str(ULID()).lower()
        self.name = f"{unit.attempts_prefix}{self.id}.json"
        self.marker = Marker(
            attempt=self.id,
            experiment=unit.experiment,
            generation=unit.generation,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=datetime.now(UTC).isoformat(),
        )

    def start(self, store: ObjectStore) -> None:
        self.write(store)

    def advanced(self, store: ObjectStore) -> None:
        self.marker.steps += 1
        self.write(store)

    def end(self, store: ObjectStore, outcome: Outcome, message: str = "", permanent: bool = False) -> None:
        self.marker.outcome, self.marker.message, self.marker.permanent = outcome, message, permanent
        self.write(store)

    def later(self, store: ObjectStore, message: str, seconds: float) -> None:
        """End as waiting until a given time. Attempts that did so before are forgotten: there may be thousands."""
        self.marker.retry_after = seconds
        self.end(store, "waiting", message)
        prefix = self.name.removesuffix(f"{self.id}.json")
        waited = [marker for marker in read_markers(store, prefix) if marker.retry_after is not None]
        store.delete(f"{prefix}{marker.attempt}.json" for marker in waited if marker.attempt != self.id)

    def write(self, store: ObjectStore) -> None:
        """Write the marker as it stands."""
        store.put(self.name, self.marker.model_dump_json().encode())


def read_markers(store: ObjectStore, prefix: str) -> list[Marker]:
    """A unit's markers, oldest attempt first."""
    markers = []
    for info in store.list(prefix):
        try:
            markers.append(Marker.model_validate_json(store.get(info.name)))
        except NotFound:
            continue
    return sorted(markers, key=lambda marker: marker.attempt)


def verdict(markers: Sequence[Marker], experiment: str, generation: int) -> str | None:
    """Why this experiment's generation must give the unit up; None if it may be tried again.

    Three errors of the work, one permanent error, or five attempts in a row that were lost without progress.
    """
    own = [marker for marker in markers if (marker.experiment, marker.generation) == (experiment, generation)]
    errors = [marker for marker in own if marker.outcome == "error"]
    if permanent := [marker for marker in errors if marker.permanent]:
        return permanent[-1].message
    if len(errors) >= ERRORS_ALLOWED:
        return f"{errors[-1].message} (tried {len(errors)} times)"
    lost = 0
    for marker in reversed(own):
        # One that knew when to look again had done what there was to do.
        if marker.outcome in {"stopped", "waiting"} and marker.retry_after is None:
            continue
        if marker.outcome is not None or marker.steps:
            break
        lost += 1
    if lost >= LOST_ALLOWED:
        return f"{lost} attempts in a row ended with their worker killed and nothing saved (out of memory?)"
    return None
