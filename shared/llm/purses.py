"""A process's purses: one thread carries their questions to the conductor and its answers back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
import structlog
from ulid import ULID

from shared import signals
from shared.budget import closed_name
from shared.errors import Outage
from shared.llm.endpoints import Endpoint
from shared.llm.purse import Overrun, Purse
from shared.llm.pursefile import Owner, PurseFile, abandoned
from shared.store import ObjectStore

log = structlog.get_logger()

TICK = 0.05
RECOVER_EVERY = 5.0
"""Seconds between two looks for purses of killed processes, while there are purses here."""


class Purses:
    """Thread-safe. `flush` returns when all answers so far are in the store."""

    def __init__(
        self,
        store: ObjectStore,
        client: redis.Redis,
        data_dir: Path,
        loop: asyncio.AbstractEventLoop,
        flush: Callable[[], None],
    ) -> None:
        self._store = store
        self._redis = client
        self._folder = data_dir / "purses"
        self._loop = loop
        self._flush = flush
        self._reply = f"purses:{ULID()}"
        self._open: dict[str, Purse] = {}
        self._overruns: dict[Endpoint, Overrun] = {}
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._recovered = 0.0

    def open(self, owner: Owner, endpoint: Endpoint, concurrency: int) -> Purse | None:
        """A purse for one attempt; None where the endpoint's answers cost nothing. Raises OSError."""
        if endpoint.price is None or endpoint.price.free:
            return None
        file = PurseFile.create(self._folder, owner)
        with self._lock:
            overrun = self._overruns.setdefault(endpoint, Overrun())
        purse = Purse(owner, endpoint.price, endpoint.max_tokens, concurrency, file, self._loop, self._reply, overrun)
        with self._lock:
            self._open[purse.name] = purse
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="purses", daemon=True)
                self._thread.start()
            self._busy.set()
        return purse

    def close(self, purse: Purse) -> None:
        """Say what it spent, after its answers are in the store. What cannot be said now is left to `recover`."""
        with self._lock:
            self._open.pop(purse.name, None)
            if not self._open:
                self._busy.clear()
        if (word := purse.last_word()) is not None:
            signals.send(self._redis, "purse", **word.to_json())
        try:
            self._flush()
            self._settle(purse.file)
        except Outage as outage:
            log.warning("purse.left_on_disk", purse=purse.name, error=str(outage))
            purse.file.close()

    def recover(self) -> None:
        """Close the purses that dead processes of this host left. Raises `Outage`."""
        self._recovered = time.monotonic()
        for file in abandoned(self._folder):
            try:
                self._settle(file)
            except BaseException:
                file.close()
                raise
            log.info("purse.recovered", purse=file.name)

    def end(self) -> None:
        """End the thread; no purse may be open."""
        self._closed.set()
        self._busy.set()
        if self._thread is not None:
            self._thread.join()

    def _settle(self, file: PurseFile) -> None:
        if (found := file.read()) is not None:
            owner, spent = found
            self._store.put(closed_name(owner.experiment, file.name, owner.kind, owner.stage, spent), b"")
        file.remove()

    def _run(self) -> None:
        while not self._closed.is_set():
            if not self._busy.wait(1.0):
                continue
            try:
                self._exchange()
                if time.monotonic() - self._recovered > RECOVER_EVERY:
                    self.recover()
            except (redis.RedisError, Outage) as error:
                log.warning("purses.outage", error=str(error))
                self._closed.wait(0.3)

    def _exchange(self) -> None:
        """Say what is due, and take in one answer, or wait a moment for it."""
        with self._lock:
            purses = list(self._open.values())
        for purse in purses:
            if (ask := purse.due(time.monotonic())) is not None:
                signals.send(self._redis, "purse", **ask.to_json())
        answer = self._redis.blpop([self._reply], timeout=TICK)
        if answer is None:
            return
        said = json.loads(answer[1])
        with self._lock:
            purse_or_none = self._open.get(said["purse"])
        if purse_or_none is not None:
            purse_or_none.answered(said["seq"], said["limit"], said["reason"])
