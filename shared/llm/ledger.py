"""The ledger of paid answers (design.md, "Paid answers").

    <data>/wal/<scope>/<ulid>-<owner>.jsonl     answers of this host that are not in the store yet (wal.py)
    ledger/<scope>/<ulid>….jsonl.gz             the same, uploaded: segments, never changed (entries.py); now and
                                                then many small ones become one (compaction.py)
    <data>/ledger.sqlite                        a local index of both (index.py)
    claim:<key>                                 in Redis: who is asking what now (claims.py)

`append` returns when the answer is in the write-ahead file, so a killed process loses none that was used. A thread
uploads what has come in a few times a second. Order matters: a claim is given back only after its answer's upload, and
who wins a claim looks into the ledger once more before it sends. Entries are only ever added; of equal keys the oldest
answer counts.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import redis
import structlog
from ulid import ULID

from shared.errors import Outage
from shared.llm.claims import Claims, dead_owners
from shared.llm.compaction import compact, crowded
from shared.llm.entries import Entry, Scope, pack, split_lines, unpack
from shared.llm.index import Index
from shared.llm.wal import WalFile, abandoned, left_by, local_segments
from shared.store import NotFound, ObjectInfo, ObjectStore

log = structlog.get_logger()

PREFIX = "ledger"
UPLOAD_EVERY = 0.2
UPLOAD_RETRY = 2.0
FLUSH_TIMEOUT = 60.0
FETCHERS = 8
LISTINGS = 5
LOOKS = 5
COMPACTING_MS = 60_000


class Ledger:
    """One process's ledger; thread-safe. Other processes and hosts have their own on the same store."""

    def __init__(self, store: ObjectStore, client: redis.Redis, data_dir: Path) -> None:
        self._store = store
        self._redis = client
        self._wal = data_dir / "wal"
        self._index = Index(data_dir / "ledger.sqlite")
        self.claims = Claims(client, self._wal)
        self._lock = threading.Lock()
        self._uploading = threading.Lock()
        self._open: dict[str, WalFile] = {}
        self._sealed: list[WalFile] = []
        self._crowded: dict[str, list[list[ObjectInfo]]] = {}
        self._compactor: threading.Thread | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._upload_loop, name="ledger", daemon=True)
        self._thread.start()

    def lookup(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The answers that this host knows of, by request key."""
        return {entry.key: entry for entry in map(Entry.from_line, self._index.lines(keys))}

    def look(self, scope: Scope, keys: Collection[str]) -> dict[str, Entry]:
        """The same, after learning what others have asked. Raises `Outage` as `refresh` does."""
        for _ in range(LOOKS):
            lost = self._index.lost
            self.refresh(scope)
            found = self.lookup(keys)
            # Else it was made anew in between, and what it lacks may have been answered all the same.
            if self._index.lost == lost:
                return found
        raise Outage(f"the local index in {self._wal.parent} breaks again and again")

    def append(self, scope: Scope, entry: Entry) -> None:
        """Keep an answer. When this returns, the death of this process cannot lose it.

        Raises:
            Outage: the disk is full. The answer was then uploaded at once, unless the store is away too.
        """
        line = entry.to_line()
        try:
            with self._lock:
                file = self._open.get(scope.name)
                if file is None:
                    file = self._open[scope.name] = WalFile.create(
                        self._wal, scope.name, scope.header, self.claims.owner
                    )
                file.append(line)
        except OSError as error:
            self._store.put(f"{PREFIX}/{scope.name}/{ULID()}.jsonl.gz", pack(scope.header + line))
            raise Outage(f"an answer cannot be written to {self._wal}: {error.strerror}") from error
        if not self._wake.is_set():
            self._wake.set()

    def refresh(self, scope: Scope) -> None:
        """Learn what others have asked: one listing of the store, and the segments that are new.

        Raises:
            Outage: the store is away, or the local disk is full.
        """
        self.recover()
        for data in local_segments(self._wal, scope.name):
            # Another version's file is for that version to read; it is uploaded as it is.
            with suppress(ValueError):
                self._index.add(split_lines(data))
        with ThreadPoolExecutor(FETCHERS) as pool:
            for _ in range(LISTINGS):
                if all(list(pool.map(self._fetch, self._missing(scope)))):
                    return
        raise Outage(f"object store: segments of {PREFIX}/{scope.name} are listed and cannot be read")

    def tidy(self, scope: Scope) -> None:
        """Compact the scope's segments in a thread of its own, if the last listing saw many small ones.

        One process at a time, as far as Redis knows: two would do the same work, and no harm.
        """
        with self._lock:
            groups = self._crowded.pop(scope.name, [])
            if not groups or (self._compactor is not None and self._compactor.is_alive()):
                return
            self._compactor = threading.Thread(
                target=self._compact, args=[scope, groups], name="compaction", daemon=True
            )
            self._compactor.start()

    def recover(self) -> None:
        """Upload what dead processes of this host left, and free what they had claimed. Raises `Outage`."""
        dead = dead_owners(self._wal)
        try:
            for file in abandoned(self._wal):
                try:
                    self._upload(file)
                except BaseException:
                    file.close()
                    raise
                log.info("ledger.recovered", segment=file.name, scope=file.scope)
            for owner, path, _ in dead:
                # A process's locks end one after the other, and another one may be uploading what it left: its claims
                # are free when its last answer is in the store.
                if not left_by(self._wal, owner):
                    self.claims.bury(owner)
                    path.unlink(missing_ok=True)
        except redis.RedisError as error:
            log.warning("ledger.claims_not_freed", error=str(error))
        finally:
            for _, _, fd in dead:
                os.close(fd)

    def flush(self, timeout: float = FLUSH_TIMEOUT) -> None:
        """Return when every answer so far is in the store.

        Raises:
            Outage: the store does not take them; they stay in the write-ahead files and are tried again.
        """
        deadline = time.monotonic() + timeout
        while not self._settled():
            if time.monotonic() > deadline:
                raise Outage("object store: answers wait on local disk to be uploaded")
            self._upload_all()

    def close(self) -> None:
        """Upload what is left, if the store lets it, and end."""
        self._closed.set()
        self._wake.set()
        self._thread.join()
        if self._compactor is not None:
            self._compactor.join()
        try:
            self._upload_all()
        except Outage as outage:
            log.warning("ledger.left_on_disk", error=str(outage))
        self.claims.close(settled=self._settled())
        with self._lock:
            for file in [*self._open.values(), *self._sealed]:
                file.close()
        self._index.close()

    def _settled(self) -> bool:
        with self._lock:
            return not self._open and not self._sealed

    def _upload_loop(self) -> None:
        while not self._closed.is_set():
            self._wake.wait()
            self._closed.wait(UPLOAD_EVERY)
            self._wake.clear()
            try:
                self._upload_all()
            except (Outage, OSError) as error:
                log.warning("ledger.upload_failed", error=str(error))
                self._closed.wait(UPLOAD_RETRY)
                self._wake.set()

    def _upload_all(self) -> None:
        """Seal the open files and upload them; one thread at a time. Raises `Outage`."""
        with self._uploading:
            with self._lock:
                self._sealed.extend(self._open.values())
                self._open.clear()
            while self._sealed:
                self._upload(self._sealed[0])
                with self._lock:
                    self._sealed.pop(0)

    def _upload(self, file: WalFile) -> None:
        data = file.read()
        name = f"{PREFIX}/{file.scope}/{file.name}.jsonl.gz"
        # A process that died at once leaves no more than the header.
        if data.count(b"\n") > 1:
            self._store.put(name, pack(data))
            try:
                lines = split_lines(data)
            except ValueError as error:
                log.error("ledger.segment_broken", segment=name, error=str(error))
            else:
                self._index.add(lines, name)
                self.claims.release(key for key, _ in lines)
        file.remove()

    def _missing(self, scope: Scope) -> list[str]:
        """List the scope's segments; the names of those that the index lacks."""
        segments = list(self._store.list(f"{PREFIX}/{scope.name}/"))
        with self._lock:
            self._crowded[scope.name] = crowded(segments)
        return self._index.missing(info.name for info in segments)

    def _fetch(self, name: str) -> bool:
        """Take a segment into the index; False if it is gone: compacted since the listing, so list again.

        One that cannot be read now is looked at again by the next refresh.
        """
        try:
            lines = split_lines(unpack(self._store.get(name)))
        except NotFound:
            return False
        except ValueError as error:
            log.error("ledger.segment_broken", segment=name, error=str(error))
            return True
        self._index.add(lines, name)
        return True

    def _compact(self, scope: Scope, groups: list[list[ObjectInfo]]) -> None:
        try:
            if not self._redis.set(f"compacting:{scope.name}", 1, nx=True, px=COMPACTING_MS):
                return
            for group in groups:
                if self._closed.is_set():
                    return
                compact(self._store, group)
        except (Outage, redis.RedisError) as error:
            log.warning("ledger.not_compacted", error=str(error))
