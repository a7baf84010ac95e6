"""Job folders of trainings whose worker was killed: found by a lock that nobody holds any more, and removed.

They hold checkpoints, so a few kills would fill a disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger()

LOCK = "trainer.lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a job folder while this process lives; the kernel lets go of it however the process ends."""
    partial = folder / f".{LOCK}"
    descriptor = os.open(partial, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Only now under its name, so that nobody finds it before it is locked.
        partial.rename(folder / LOCK)
        yield
    finally:
        os.close(descriptor)


def sweep(attempts: Path) -> int:
    """Remove every folder under `attempts` whose lock nobody holds; returns how many."""
    removed = 0
    for lock in attempts.glob(f"*/{LOCK}"):
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(lock.parent, ignore_errors=True)
            removed += 1
    if removed:
        log.info("trainer.swept", folders=removed)
    return removed
