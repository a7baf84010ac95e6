"""One file of the cache: how it is held while it is in use, known to be whole, and removed once nobody uses it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STAMP = 1_000_000_000 * 10**9
"""The time of change (nanoseconds) of every whole file: one that differs was written to since."""
SMALL = 1 << 20
"""Up to so many bytes a file is hashed at every use, which takes a millisecond."""
READ_ONLY = 0o444


@dataclass(frozen=True)
class Wanted:
    """A file of the store: the object that holds it, its SHA-256 and its bytes."""

    object: str
    sha256: str
    size: int


def hold(path: Path, wanted: Wanted) -> int | None:
    """Open a file and mark it as in use until the descriptor is closed; None where it is not there, or not whole.

    Its size and its time of change are looked at; a small one, and one that was touched, is hashed.
    """
    while True:
        try:
            held = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(held, fcntl.LOCK_SH)
            if same_file(held, path):
                if not _is_whole(held, wanted):
                    os.close(held)
                    return None
                _touch(held)
                return held
        except BaseException:
            os.close(held)
            raise
        # It was removed before the lock was ours.
        os.close(held)


def take_part(path: Path) -> int | None:
    """Open a download's file to go on with it; None while another process does so."""
    part = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if take(part) and same_file(part, path):
        return part
    os.close(part)
    return None


def finish(part: int, path: Path, target: Path) -> bool:
    """Let a download, whose hash was checked, be one of the cache's files, in use; False if it was removed at once."""
    if os.fstat(part).st_size > SMALL:
        # A small one is hashed whenever it is used; of these a power cut might leave what only looks whole.
        os.fdatasync(part)
    _touch(part)
    path.rename(target)
    fcntl.flock(part, fcntl.LOCK_SH)
    return same_file(part, target)


def discard(path: Path) -> bool:
    """Remove a file unless somebody uses it."""
    try:
        held = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        if not take(held) or not same_file(held, path):
            return False
        path.unlink()
        return True
    finally:
        os.close(held)


def _touch(held: int) -> None:
    """Note that a whole file is used now, and that nobody is to write to it."""
    # Another user's file, in a folder that both share, only looks as if it was used earlier.
    with suppress(PermissionError):
        os.fchmod(held, READ_ONLY)
        os.utime(held, ns=(time.time_ns(), STAMP))


def take(held: int) -> bool:
    """Lock an open file for this descriptor alone, unless another has a lock on it."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def same_file(held: int, path: Path) -> bool:
    """Whether the path still names the file that is open."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(held)
    return (mine.st_ino, mine.st_dev) == (there.st_ino, there.st_dev)


def hash_of(held: int) -> hashlib._Hash:
    """SHA-256 of an open file's content so far."""
    with open(held, "rb", closefd=False) as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256")


def _is_whole(held: int, wanted: Wanted) -> bool:
    status = os.fstat(held)
    if status.st_size != wanted.size:
        return False
    if status.st_mtime_ns == STAMP and wanted.size > SMALL:
        return True
    return hash_of(held).hexdigest() == wanted.sha256
