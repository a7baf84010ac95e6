"""The worker's one engine: reused while what it serves stays the same, ended when that changes and when it idles."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from services.inference.engines import STARTERS
from services.inference.engines.base import Check, Engine, Note, Serving, Starter, quiet
from shared.machine_lock import wanted
from shared.settings import Settings

log = structlog.get_logger()

IDLE_SECONDS = 60.0
LOOK_EVERY = 0.25


class Keeper:
    """Holds at most one engine. An idle one ends after `idle_seconds`, or at once when another process waits for it."""

    def __init__(
        self, settings: Settings, starters: Mapping[str, Starter] | None = None, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._settings = settings
        self._starters = starters or {name: make(settings) for name, make in STARTERS.items()}
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._engine: Engine | None = None
        self._serving: Serving | None = None
        self._used = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)
        self._thread.start()

    @property
    def current(self) -> Engine | None:
        """The engine that runs now, if one does."""
        return self._engine

    @contextmanager
    def engine(self, serving: Serving, check: Check, note: Note = quiet) -> Iterator[Engine]:
        """The engine that serves this, started if need be. Raises what `Starter.start` raises."""
        with self._lock:
            try:
                yield self._get(serving, check, note)
            finally:
                self._used = time.monotonic()

    def close(self) -> None:
        """End the engine. Waits for whoever uses it."""
        self._closed.set()
        self._thread.join()
        with self._lock:
            self._end()
            for starter in self._starters.values():
                starter.close()

    def _get(self, serving: Serving, check: Check, note: Note) -> Engine:
        if self._engine is not None and (self._serving != serving or self._in_the_way() or not self._engine.healthy()):
            self._end()
        if self._engine is None:
            started = time.monotonic()
            self._engine = self._starters[serving.engine].start(serving, check, note)
            self._serving = serving
            log.info("engine.started", engine=serving.engine, seconds=round(time.monotonic() - started, 2))
        return self._engine

    def _end(self) -> None:
        if self._engine is not None:
            engine, self._engine, self._serving = self._engine, None, None
            engine.end()

    def _in_the_way(self) -> bool:
        """Whether a trainer or another worker waits for the device, whose turn it is once nothing is asked here."""
        assert self._engine is not None
        return self._engine.managed and wanted(self._settings.engine_lock)

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_EVERY):
            if self._engine is None or not self._lock.acquire(blocking=False):
                continue
            try:
                if time.monotonic() - self._used > self._idle_seconds:
                    self._end()
                    for starter in self._starters.values():
                        starter.close()
                elif self._in_the_way():
                    self._end()
            finally:
                self._lock.release()
