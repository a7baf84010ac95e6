"""Free ports of the loopback interface."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the kernel's ephemeral range: a client that keeps calling a server which is down, on an ephemeral port, may be
# given that port for its own end, connect to itself, and keep the server from coming back.
LOWEST, HIGHEST = 10_240, 32_767


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A port that is free now and not among `taken`.

    Raises:
        RuntimeError: a thousand tries found none.
    """
    for port in random.SystemRandom().choices(range(LOWEST, HIGHEST), k=1000):
        if port not in taken and is_free(port):
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")
