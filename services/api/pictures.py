"""Figures as PNG for who asks for them, each drawn once."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from threading import Lock

import structlog

from services.api import raster
from services.api.kept import Kept
from services.api.pages.figures import Figure

log = structlog.get_logger()
LONGEST_S = 60


class Pictures:
    """PNGs by what their figures look like."""

    def __init__(self) -> None:
        self._kept: Kept[bytes] = Kept(128)
        self._one = Lock()

    def of(self, figure: Figure) -> bytes | None:
        """The figure as PNG; None, and a line in the log, where it cannot be drawn."""
        try:
            return self._kept.get(sha256(figure.svg).hexdigest(), lambda: self._drawn(figure.svg))
        except (subprocess.SubprocessError, OSError) as error:
            log.error("figure.not_drawn", figure=figure.name, error=str(error))
            return None

    def _drawn(self, svg: bytes) -> bytes:
        # The renderer holds the interpreter's lock for tenths of a second, in which no event would be sent: it has a
        # process of its own, and one at a time, since many would take every core.
        with self._one:
            made = subprocess.run(
                [sys.executable, "-P", raster.__file__], input=svg, stdout=subprocess.PIPE, check=True,
                timeout=LONGEST_S,
            )  # fmt: skip
        return made.stdout
