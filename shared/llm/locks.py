"""File locks that end with their process: how one process knows that another one on this host is dead."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def create_locked(path: Path) -> int:
    """Make a new file that is locked from the moment it has its name; returns its descriptor. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever looks for files by their ending must not find it yet.
    hidden = path.with_name(f".{path.name}.new")
    fd = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        hidden.rename(path)
    except OSError:
        hidden.unlink(missing_ok=True)
        os.close(fd)
        raise
    return fd


def take_over(path: Path) -> int | None:
    """Lock a file whose owner is dead; returns its descriptor, or None where the owner lives or the file is gone."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if os.fstat(fd).st_nlink == 0:  # somebody else was here between the two calls, and deleted it
        os.close(fd)
        return None
    return fd
