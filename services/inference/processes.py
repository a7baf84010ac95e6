"""The processes of a session, to the last: an engine's launcher gives its workers process groups of their own.

A session is what they cannot leave by that. It is read from /proc; where there is none, a group has to do.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
PAUSE = 0.01
PATIENCE = 10.0


def members(session: int) -> set[int]:
    """The living processes of a session, those that have ended and are not reaped left out."""
    found = set()
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold anything; what follows it are state, parent, group and session.
            state, _, _, its = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its) == session and state not in {"Z", "X"}:
            found.add(int(stat.parent.name))
    return found


def kill_session(session: int, spare: int = 0) -> bool:
    """SIGKILL to every process of a session but `spare`, until none is left; whether that was reached."""
    if not PROC.exists():
        _send(-session)
        return True
    deadline = time.monotonic() + PATIENCE
    while left := members(session) - {spare}:
        for pid in left:
            _send(pid)
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def _send(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
