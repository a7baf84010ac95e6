"""A child's life hangs on the pipe to its worker: when that closes, SIGKILL of the worker included, the child ends."""

from __future__ import annotations

import os
import select
import threading


def end_with_worker() -> None:
    """End this process at once when the other end of standard input is closed. Nothing is read from it here."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    pipe = select.poll()
    pipe.register(0, 0)
    while not any(event & (select.POLLHUP | select.POLLERR) for _, event in pipe.poll()):
        continue
    os._exit(1)
