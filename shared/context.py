"""What a handler is given: its unit, its inputs, and the ways to report, to be stopped and to save."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from shared import signals
from shared.artifacts import Artifact
from shared.attempts import Attempt
from shared.disk import GB
from shared.errors import Stopped
from shared.filecache import FileCache
from shared.leases import Lease
from shared.settings import Settings
from shared.store import ObjectStore
from shared.units import Unit

REPORT_EVERY = 0.3
LOG_EVERY = 3.0
NOTE_EVERY = 10.0

Sender = Callable[..., None]


def stop_name(commit_key: str) -> str:
    """The Redis key by which the conductor asks the holder of a unit to stop; its value says why."""
    return f"stop:{commit_key}"


class StageContext:
    """One attempt at one unit, as its handler sees it."""

    def __init__(
        self,
        unit: Unit,
        settings: Settings,
        store: ObjectStore,
        client: redis.Redis,
        lease: Lease,
        attempt: Attempt,
        shutdown: threading.Event,
    ) -> None:
        self.unit = unit
        self.settings = settings
        self.store = store
        self.redis = client
        self.scratch = f"scratch/{unit.key}/"
        self.workdir = settings.data_dir / "attempts" / attempt.id
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.cache = file_cache(settings, self.check)
        self._kept = ExitStack()
        self._kept.callback(self.cache.close)
        self._lease = lease
        self._attempt = attempt
        self._shutdown = shutdown
        self._reported = 0.0
        self._note: str | None = None
        self._noted = 0.0
        self._asked = 0.0
        self._lines: list[str] = []
        self._logged = time.monotonic()

    def has_input(self, name: str) -> bool:
        """Whether the plan gave this input."""
        return name in self.unit.inputs

    def input(self, name: str) -> Artifact:
        """A committed input. Raises KeyError where the plan gave none of this name."""
        return Artifact.load(self.store, self.unit.inputs[name], self.cache)

    @property
    def budget(self) -> str | None:
        """The kind of stage whose budget pays for this unit; None where its experiment has none."""
        return self.unit.kind if self.unit.options.get("budget") else None

    @property
    def held(self) -> bool:
        """Whether the lease is surely ours now: wait for it before a paid request."""
        return self._lease.held

    @property
    def ending(self) -> bool:
        """Whether this worker has been told to end: what is worth keeping may be saved first, in the grace time."""
        return self._shutdown.is_set()

    def check(self) -> None:
        """Raise `Stopped` if the work must end: lease lost, cancelled, or the worker is shutting down. Cheap."""
        if self._lease.lost.is_set():
            raise Stopped("another worker has taken this unit over")
        if self._shutdown.is_set():
            raise Stopped("the worker is shutting down")
        now = time.monotonic()
        if now - self._asked > 0.5:
            self._asked = now
            try:
                if (why := self.redis.get(stop_name(self.unit.commit_key))) is not None:
                    raise Stopped(why.decode())
            except redis.RedisError:
                return

    def wait_held(self) -> None:
        """Block until the lease is surely ours (a broker that is away delays this). Raises `Stopped`."""
        while not self._lease.held:
            self.check()
            time.sleep(0.05)

    def wait(self, seconds: float) -> None:
        """Let this time pass. Raises `Stopped`."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()
            time.sleep(0.05)

    def keep(self, held: AbstractContextManager[None]) -> None:
        """Enter a context that ends with the attempt, after its commit."""
        self._kept.enter_context(held)

    def progress(self, done: int, total: int, note: str | None = None) -> None:
        """Say how far the work is, and what keeps it waiting; sent a few times a second at most.

        A note replaces another one after NOTE_EVERY seconds at the soonest, so that a countdown is not one event a
        second.
        """
        now = time.monotonic()
        if (note is None) != (self._note is None) or now - self._noted > NOTE_EVERY:
            self._note, self._noted = note, now
        if now - self._reported > REPORT_EVERY or done >= total:
            self._reported = now
            self._send("progress", done=done, total=total, note=self._note)

    def metrics(self, row: dict[str, float]) -> None:
        """Stream one row of training metrics as an event."""
        self._send("metrics", row=row)

    def advanced(self) -> None:
        """Durable progress was made, so that a kill from here on is not one more attempt that led nowhere."""
        self._attempt.advanced(self.store)

    def log(self, line: str) -> None:
        """Add a line to the stage's log."""
        self._lines.append(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line.rstrip()}\n")
        if time.monotonic() - self._logged > LOG_EVERY:
            self.flush_log()

    def flush_log(self) -> None:
        """Write the log as it stands to the store."""
        self._logged = time.monotonic()
        if self._lines:
            name = f"{self.scratch}logs/{self.unit.commit_key[:12]}.{self._attempt.id}.log"
            self.store.put(name, "".join(self._lines).encode())

    def clock(self) -> Callable[[], float]:
        """A stopwatch, started now: each call gives the seconds since."""
        started = time.monotonic()
        return lambda: time.monotonic() - started

    def close(self) -> None:
        """Remove the attempt's local files, then let go of what was kept."""
        shutil.rmtree(self.workdir, ignore_errors=True)
        self._kept.close()

    def _send(self, type: signals.Type, **fields: Any) -> None:
        signals.send(self.redis, type, key=self.unit.key, unit=self.unit.commit_key, **fields)


def cache_folder(settings: Settings) -> Path:
    """Where files of the store and the hub are kept locally; may be emptied at any time no work runs."""
    return settings.data_dir / "cache"


def file_cache(settings: Settings, check: Callable[[], None] = lambda: None) -> FileCache:
    """This host's cache of the store's files. `check` ends a wait or a download by what it raises."""
    return FileCache(cache_folder(settings), settings.cache_gb * GB, check)
