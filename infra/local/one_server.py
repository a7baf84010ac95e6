"""Becoming a server that owns its folder: the lock, then the server's own program in this very process."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LOCK = ".touchstone-lock"


def own(folder: Path) -> None:
    """Hold the folder's lock until this process, or the program it becomes, has ended.

    Raises:
        SystemExit: another server holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the folder, since whatever is inside an S3 folder is a bucket or an object.
    lock = os.open(folder.parent / f"{folder.name}{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{folder}: another server uses this folder")
    os.set_inheritable(lock, True)


def become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replace this process by the server; its id and its lock stay."""
    os.execve(command[0], list(command), {**os.environ, **environment})
