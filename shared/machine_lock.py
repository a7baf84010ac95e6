"""One user of a machine's device at a time: a lock file, held by whoever uses it and free once its holder is gone.

Who waits for it holds a second lock file, shared, by which an idle engine's keeper sees that it is in the way.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_EVERY = 0.1


def hold(path: Path, taken: Callable[[], None] = lambda: None) -> int:
    """Take the lock, as long as it needs, for the rest of this process's life; returns the open file.

    `taken` is called where somebody else has it, before the wait.
    """
    lock = _open(path)
    if not _take(lock):
        taken()
        waiting = _open(_waiting(path))
        fcntl.flock(waiting, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.close(waiting)
    return lock


@contextmanager
def held(path: Path, wait: Callable[[], None]) -> Iterator[int]:
    """Hold the lock, an open file, within the context. While somebody else has it, `wait` is called ten times a second.

    A child that inherits the file holds the lock too, until it has ended. Whatever `wait` raises ends the waiting.
    """
    lock = _open(path)
    try:
        if not _take(lock):
            waiting = _open(_waiting(path))
            try:
                fcntl.flock(waiting, fcntl.LOCK_SH)
                while not _take(lock):
                    wait()
                    time.sleep(LOOK_EVERY)
            finally:
                os.close(waiting)
        yield lock
    finally:
        os.close(lock)


def wanted(path: Path) -> bool:
    """Whether somebody waits for the lock."""
    if not _waiting(path).exists():
        return False
    waiting = os.open(_waiting(path), os.O_RDWR)
    try:
        return not _take(waiting)
    finally:
        os.close(waiting)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _waiting(path: Path) -> Path:
    return path.with_name(f"{path.name}.waiting")
