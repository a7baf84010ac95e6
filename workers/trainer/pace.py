"""How fast an upload may go beside a training that needs this machine's processors itself."""

from __future__ import annotations

import os
import threading
import time

from shared.errors import Stopped
from shared.store import AT_ONCE

UPLOADING = 3.0
"""Processors that an upload at full speed keeps busy: its own hashes, and a store on this machine."""
LONGEST_REST = 0.5


class Pace:
    """One training's uploads: at full speed where processors are idle, else at most half of the time.

    An upload that takes turns with a training slows it by as much as it takes, though nobody waits for its end; one
    that rests finds its turns while others wait. `hurry` is for who does wait.
    """

    def __init__(self) -> None:
        self._hurried = threading.Event()
        self._ended = threading.Event()
        self._rested = time.monotonic()

    @property
    def at_once(self) -> int:
        """How many parts of a file may be under way."""
        return 1 if self._rests() else AT_ONCE

    def begin(self) -> None:
        """An upload begins, which need not rest for what was before it."""
        self._rested = time.monotonic()

    def rest(self) -> None:
        """To be called before each part of a file, by one thread: waits as long as the part before took.

        Raises:
            Stopped: the training has ended.
        """
        if self._rests():
            self._hurried.wait(min(LONGEST_REST, time.monotonic() - self._rested))
        if self._ended.is_set():
            raise Stopped("the training has ended")
        self._rested = time.monotonic()

    def hurry(self) -> None:
        """No rest from now on."""
        self._hurried.set()

    def end(self) -> None:
        """What is under way is given up at its next part."""
        self._ended.set()
        self._hurried.set()

    def _rests(self) -> bool:
        return not self._hurried.is_set() and (os.cpu_count() or 1) - os.getloadavg()[0] < UPLOADING
