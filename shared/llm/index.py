"""A local index of the ledger's segments, so that looking up a whole shard costs no round trip per request.

One SQLite file for all processes of a host. It may be deleted at any time: it is filled again from the segments.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import structlog

from shared.errors import Outage
from shared.llm.entries import SCHEMA

log = structlog.get_logger()
T = TypeVar("T")

TABLES = """
CREATE TABLE segments (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE answers (key TEXT PRIMARY KEY, line BLOB NOT NULL);
"""
VERSION = zlib.crc32(f"{SCHEMA} {TABLES}".encode()) >> 1
"""Of the tables and of what was read into them; another version's file is deleted."""
# The time of an answer, so that hosts which list segments at other times agree on which one counts.
ADD = """
INSERT INTO answers VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET line = excluded.line
WHERE json_extract(CAST(excluded.line AS TEXT), '$.at') < json_extract(CAST(answers.line AS TEXT), '$.at')
"""
IN = "IN (SELECT value FROM json_each(?))"
BUSY_SECONDS = 30.0
PASSING = tuple(getattr(sqlite3, f"SQLITE_{name}") for name in ("BUSY", "LOCKED", "FULL", "NOMEM", "CANTOPEN"))
"""Errors that say nothing against what is in the file; after any other one it is made anew."""


class Index:
    """Lines by key. Thread-safe, and shared between processes. Every method raises `Outage` on a full disk.

    `lost` counts how often it was found broken and begun anew: two looks between which that happened do not fit
    together.
    """

    def __init__(self, path: Path) -> None:
        self.lost = 0
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def missing(self, segments: Iterable[str]) -> list[str]:
        """Those of `segments` that are not in the index yet, in their order."""
        names = list(segments)

        def read(db: sqlite3.Connection) -> set[str]:
            return {name for (name,) in db.execute(f"SELECT name FROM segments WHERE name {IN}", (json.dumps(names),))}

        known = self._run(read)
        return [name for name in names if name not in known]

    def add(self, lines: Iterable[tuple[str, bytes]], segment: str | None = None) -> None:
        """Take `(key, line)` rows in, and with them the segment that they are all of; a key's oldest answer counts."""
        rows = list(lines)

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.executemany(ADD, rows)
                if segment is not None:
                    db.execute("INSERT OR IGNORE INTO segments VALUES (?)", (segment,))

        self._run(write)

    def lines(self, keys: Iterable[str]) -> list[bytes]:
        """The lines of those keys that are there."""
        wanted = json.dumps(list(keys))
        return self._run(
            lambda db: [line for (line,) in db.execute(f"SELECT line FROM answers WHERE key {IN}", (wanted,))]
        )

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                try:
                    return work(self._open())
                except sqlite3.DatabaseError as error:
                    self._let_go()
                    if error.sqlite_errorcode & 0xFF in PASSING:
                        raise
                    log.warning("ledger.index_broken", path=str(self._path), error=str(error))
                    with self._alone():
                        self._delete()
                    return work(self._open())
            except (sqlite3.DatabaseError, OSError) as error:
                self._let_go()
                raise Outage(f"the ledger's local index {self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            with self._alone():
                if self._connect().execute("PRAGMA user_version").fetchone() != (VERSION,):
                    self._let_go()
                    self._delete()
                    self._connect().executescript(f"BEGIN; {TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        assert self._db is not None
        return self._db

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time: SQLite does not wait for others while it changes the journal mode, and whoever deletes
        must not find the file half open."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _connect(self) -> sqlite3.Connection:
        self._db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
        # After a power loss it may lack the last rows and the names of their segments, never one without the other.
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        return self._db

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _delete(self) -> None:
        # Whoever has it open keeps what it knows.
        self.lost += 1
        # The database last: a journal that outlived it would be played into the next one.
        for suffix in ("-wal", "-shm", ""):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
