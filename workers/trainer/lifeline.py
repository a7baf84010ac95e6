"""Ends a training whose worker is gone.

The worker holds the other end of the training's standard input. However the worker dies, SIGKILL included, the kernel
closes that end, and every process that has inherited the pipe reads its end of file. PR_SET_PDEATHSIG would reach only
the worker's own child, not the ranks that a launcher starts.
"""

from __future__ import annotations

import os
import signal
import threading


def hold(fd: int = 0) -> None:
    """Start to watch the pipe; its end kills this process and, where this process leads a group, the group."""
    threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    while os.read(fd, 4096):
        continue
    # Nothing is said: standard error led to the worker too, and a write to it would fail here.
    if os.getpgrp() == os.getsid(0):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
