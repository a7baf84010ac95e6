"""Room for what comes into the cache: the limit on its bytes and the disk's own, kept by removing what was used
least recently. What is in use stays, whatever the limit."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from shared.disk import Free, check_room, with_spare
from shared.filecache.entries import STAMP, discard

log = structlog.get_logger()

PART = ".part"
FOLDERS = "folders"


@dataclass(frozen=True)
class Entry:
    """A file of the cache: its bytes (an unfinished download's: those that it will have), and when it was used last."""

    path: Path
    size: int
    used: int


class Room:
    """The cache's bytes under `root`. `limit` is in bytes; `free` says how many the disk has left."""

    def __init__(self, root: Path, limit: float, free: Free) -> None:
        self.root = root
        self.limit = limit
        self._free = free

    def make(self, size: int, missing: int, what: str) -> int:
        """Let `size` bytes come in, of which `missing` are to be written yet; returns how many there are then.

        Raises:
            Outage: the disk has no room for them, though nothing is left to remove.
        """
        with self.locked():
            counted = self._counted() + size
            if counted > self.limit or self._free(self.root) < with_spare(missing):
                counted = self._evict(size, missing)
            (self.root / "bytes").write_text(str(counted))
        check_room(self.root, missing, what, self._free)
        return counted

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all processes, and for an instant: no download and no use of a file waits within."""
        lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def entries(self) -> list[Entry]:
        """All files, the one used least recently first."""
        found = []
        for folder in self.root.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                used = status.st_atime_ns if status.st_mtime_ns == STAMP else status.st_mtime_ns
                found.append(Entry(path, max(_announced(path), status.st_size), used))
        return sorted(found, key=lambda entry: (entry.used, entry.path.name))

    def _counted(self) -> int:
        """About how many bytes there are, at least as many as there are: counted before they come."""
        try:
            return int((self.root / "bytes").read_text())
        except (FileNotFoundError, ValueError):
            return sum(entry.size for entry in self.entries())

    def _evict(self, size: int, missing: int) -> int:
        """Remove files until `size` more fit. The download that they are for has a file already, which is in use."""
        entries = self.entries()
        counted = sum(entry.size for entry in entries)
        removed = 0
        for entry in entries:
            if counted <= self.limit and self._free(self.root) >= with_spare(missing):
                break
            if discard(entry.path):
                removed += 1
                counted -= entry.size
        self._drop_folders()
        if removed:
            log.info("cache.evicted", files=removed, bytes=counted, limit=self.limit)
        return counted

    def _drop_folders(self) -> None:
        """Remove folders of which a link leads nowhere: whoever needs one makes it again."""
        for folder in (self.root / FOLDERS).glob("*"):
            links = [path for path in folder.rglob("*") if path.is_symlink()]
            if any(not link.exists() for link in links):
                remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder of links."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    folder.rmdir()


def part_name(sha256: str, size: int) -> str:
    """What an unfinished download is called; its bytes count from its beginning on."""
    return f"{sha256}.{size}{PART}"


def _announced(path: Path) -> int:
    return int(path.name.removesuffix(PART).rpartition(".")[2]) if path.name.endswith(PART) else 0
