"""Room on this machine's disks: how much is free, and what to say where it is not enough."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from shared.errors import Outage

GB = 10**9
SPARE = GB
"""Bytes that stay free beside what is written, and at most as many as that: the machine's own, and others' files."""
FIX = "make room there, or let TOUCHSTONE_DATA_DIR name a folder on a larger disk"

Free = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Bytes that a process without special rights may still write to the disk of `folder`, which exists."""
    return shutil.disk_usage(folder).free


def with_spare(size: int) -> int:
    """The bytes that must be free before `size` bytes are written."""
    return size + min(size, SPARE)


def check_room(folder: Path, size: int, what: str, free: Free = free_bytes) -> None:
    """See that `size` bytes may be written under `folder`.

    Raises:
        Outage: they may not, with how much is needed where, and what to do. The stage waits, and goes on with room.
    """
    there, spare = free(folder), with_spare(size) - size
    if there < size + spare:
        raise Outage(
            f"the disk of {socket.gethostname()} has no room for {what}: {shown(size)} and {shown(spare)} to spare are "
            f"needed under {folder}, and {shown(there)} are free; {FIX}"
        )


def shown(size: int) -> str:
    """A number of bytes for people: 1.2 GB, 34 MB, 5 kB."""
    for unit, bytes_ in (("GB", GB), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_:
            return f"{size / bytes_:.3g} {unit}"
    return f"{size} bytes"
