"""The cache as one piece of work sees it: files by content, in use until it is closed."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from shared.canonical import sha256_hex
from shared.disk import Free, free_bytes, shown
from shared.filecache.download import WrongContent, download
from shared.filecache.entries import Wanted, finish, hold, take_part
from shared.filecache.room import FOLDERS, Room, part_name, remove_folder
from shared.store import NotFound, ObjectStore

log = structlog.get_logger()

LOOK_EVERY = 0.1
TOLD = 10**7
"""Downloads of so many bytes and more are told of."""


@dataclass
class Used:
    """What a piece of work has asked the cache for: files that were there, and files and bytes that came."""

    hits: int = 0
    misses: int = 0
    hit_bytes: int = 0
    came_bytes: int = 0

    def __str__(self) -> str:
        return (
            f"{self.hits} files ({shown(self.hit_bytes)}) were in the local cache, and {self.misses} "
            f"({shown(self.came_bytes)}) came from the store"
        )


class FileCache:
    """Files of the store under `root`, shared by all processes of this host that name the same folder.

    Args:
        limit: bytes beyond which what was used least recently goes; what is in use stays.
        check: called while waiting and between pieces; whatever it raises ends a download, which goes on later.
        free: how many bytes the disk of a folder has left.
    """

    def __init__(
        self,
        root: Path,
        limit: float = math.inf,
        check: Callable[[], None] = lambda: None,
        free: Free = free_bytes,
    ) -> None:
        self.used = Used()
        self._root = root.resolve()
        self._check = check
        self._room = Room(self._root, limit, free)
        self._held: dict[str, int] = {}
        weakref.finalize(self, _close, self._held)

    def path(self, store: ObjectStore, wanted: Wanted) -> Path:
        """A local copy, read-only and in use until `close`. Raises what `download` does, and `Outage` without room."""
        if wanted.sha256 not in self._held:
            self._held[wanted.sha256] = self._obtain(store, wanted)
        return self._target(wanted)

    @contextmanager
    def borrowed(self, store: ObjectStore, wanted: Wanted) -> Iterator[Path]:
        """A local copy that is in use within the context alone. Raises what `path` does."""
        held = self._obtain(store, wanted)
        try:
            yield self._target(wanted)
        finally:
            os.close(held)

    def folder(self, store: ObjectStore, files: Mapping[str, Wanted]) -> Path:
        """A folder of links to files under their names (`a/b.json`), all of them in use until `close`.

        The same files make the same folder. Raises what `path` does.
        """
        links = {name: self.path(store, wanted) for name, wanted in sorted(files.items())}
        content = sha256_hex("".join(f"{name}={files[name].sha256};" for name in links))
        folder = self._root / FOLDERS / content
        with self._room.locked():
            if not _leads_to(folder, links):
                if folder.exists():
                    remove_folder(folder)
                _link(folder, links)
        return folder

    def close(self) -> None:
        """Nothing of it is in use any more."""
        _close(self._held)

    def _obtain(self, store: ObjectStore, wanted: Wanted) -> int:
        """An open file that is in use, downloaded by one process alone where it is not there."""
        target = self._target(wanted)
        target.parent.mkdir(parents=True, exist_ok=True)
        part_path = target.with_name(part_name(wanted.sha256, wanted.size))
        while (held := hold(target, wanted)) is None:
            if (part := take_part(part_path)) is None:
                self._check()
                time.sleep(LOOK_EVERY)
                continue
            try:
                # Whoever had the download before us may have ended it.
                if (held := hold(target, wanted)) is not None:
                    part_path.unlink()
                    break
                self._download(store, wanted, part)
                if finish(part, part_path, target):
                    return os.dup(part)
            except (NotFound, WrongContent):
                part_path.unlink()
                raise
            finally:
                os.close(part)
        self.used.hits += 1
        self.used.hit_bytes += wanted.size
        return held

    def _download(self, store: ObjectStore, wanted: Wanted, part: int) -> None:
        there = min(os.fstat(part).st_size, wanted.size)
        total = self._room.make(wanted.size, wanted.size - there, wanted.object)
        started = time.monotonic()
        came = download(store, wanted, part, self._check)
        self.used.misses += 1
        self.used.came_bytes += came
        if wanted.size >= TOLD:
            seconds = round(time.monotonic() - started, 2)
            log.info("cache.came", object=wanted.object, bytes=came, had=there, seconds=seconds, cached=total)

    def _target(self, wanted: Wanted) -> Path:
        return self._root / wanted.sha256[:2] / wanted.sha256


def _close(held: dict[str, int]) -> None:
    while held:
        _, descriptor = held.popitem()
        os.close(descriptor)


def _leads_to(folder: Path, links: Mapping[str, Path]) -> bool:
    with suppress(FileNotFoundError):
        return all((folder / name).is_symlink() and (folder / name).resolve() == path for name, path in links.items())
    return False


def _link(folder: Path, links: Mapping[str, Path]) -> None:
    for name, path in links.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(path, link.parent))
