"""One engine at a time on a machine: a lock file, held by the engine's own process and so free the moment it is gone.

Who waits for it holds a second lock file, shared, by which an idle engine's keeper sees that it is in the way.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def hold(path: Path) -> int:
    """Take the lock, as long as it needs, for the rest of this process's life; returns the open file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting = os.open(_waiting(path), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(waiting, fcntl.LOCK_SH)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.close(waiting)
    return lock


def wanted(path: Path) -> bool:
    """Whether somebody waits for the lock."""
    if not _waiting(path).exists():
        return False
    waiting = os.open(_waiting(path), os.O_RDWR)
    try:
        fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(waiting)
    return False


def _waiting(path: Path) -> Path:
    return path.with_name(f"{path.name}.waiting")
