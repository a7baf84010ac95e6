"""The experiments as this process last heard of them: a list costs one question to Redis, whatever their number.

Redis has a row of each and a version, another one after every change. What it has lost stays here; what neither has (a
new process over a wiped Redis) is read from the store, which is listed anew now and then for what nobody told of.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import redis
import structlog

from shared.errors import Outage
from shared.experiments import LIST, LIST_VERSION, PREFIX, listed, read_summary
from shared.store import ObjectStore

log = structlog.get_logger()

AT_ONCE = 16
WIPED_S = 2.0
Row = Mapping[str, Any]
"""An experiment's summary without its stages."""


@dataclass
class Listing:
    """All experiments' rows. Safe to use from several threads."""

    store: ObjectStore
    redis: redis.Redis
    relist_seconds: float
    _rows: dict[str, Row] = field(default_factory=dict)
    _raw: dict[str, bytes] = field(default_factory=dict)
    _version: bytes | None = None
    _ordered: list[Row] | None = None
    _listed: float | None = None
    _relisting: bool = False
    _wiped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rows(self) -> list[Row]:
        """Every experiment, newest first. Raises redis errors, and `Outage` where nothing was ever listed."""
        with self._lock:
            heard = self._hear()
            if self._listed is None or (not heard and not self._wiped):
                self._relist()
            elif time.monotonic() - self._listed > self._period(heard) and not self._relisting:
                self._relisting = True
                threading.Thread(target=self._relist_behind, name="listing", daemon=True).start()
            self._wiped = not heard
            if self._ordered is None:
                self._ordered = sorted(self._rows.values(), key=place, reverse=True)
            return self._ordered

    def _period(self, heard: bool) -> float:
        """Seconds from one listing to the next: a wiped Redis tells of nothing until some experiment runs."""
        return self.relist_seconds if heard else min(self.relist_seconds, WIPED_S)

    def _hear(self) -> bool:
        """Take in the rows that changed in Redis; False if it was wiped, and nobody has told it of any yet."""
        version = self.redis.get(LIST_VERSION)
        if version is None or version == self._version:
            return version is not None
        for name, data in self.redis.hgetall(LIST).items():
            id = name.decode()
            if self._raw.get(id) != data:
                self._raw[id], self._rows[id], self._ordered = data, json.loads(data), None
        self._version = version
        return True

    def _relist(self) -> None:
        """Read what is in the store and not known here."""
        self._add(self._unknown(set(self._rows)))
        self._listed = time.monotonic()

    def _relist_behind(self) -> None:
        """The same beside the requests, which need not wait for it."""
        try:
            with self._lock:
                known = set(self._rows)
            found = self._unknown(known)
            with self._lock:
                self._add(row for row in found if row["id"] not in self._rows)
        except (Outage, redis.RedisError) as error:
            log.warning("listing.not_renewed", error=str(error))
        finally:
            self._listed, self._relisting = time.monotonic(), False

    def _add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._rows[row["id"]], self._ordered = row, None

    def _unknown(self, known: set[str]) -> list[Row]:
        names = [info.name.removeprefix(PREFIX).partition("/") for info in self.store.list(PREFIX)]
        ids = sorted({id for id, _, name in names if name == "experiment.json" and id not in known})
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda id: read_summary(self.redis, self.store, id), ids)
            return [listed(summary) for summary in found if summary is not None]


def place(row: Row) -> tuple[str, str]:
    """What rows are ordered by."""
    return row["created"], row["id"]


def matching(rows: Iterable[Row], text: str = "", state: str = "") -> list[Row]:
    """The rows in a state whose name or id has every word of a text."""
    words = text.lower().split()
    return [
        row
        for row in rows
        if (not state or row["state"] == state)
        and all(word in row["name"].lower() or word in row["id"] for word in words)
    ]
