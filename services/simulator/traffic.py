"""What the simulator was asked: counts for `/stats`, and a log of arrivals for tests that kill its clients."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from shared.canonical import sha256_hex


def content_hash(request: Any) -> str:
    """The hash that a request is counted by."""
    return sha256_hex(json.dumps(request, sort_keys=True))


class Traffic:
    """Counts requests by the hash of their content; `log` gets one JSON line a request that was asked.

    A line has `hash`, `model`, `arrived` and `answered` (seconds since the epoch; `answered` is when the answer was
    fully handed to the socket, null if the client had gone by then) and `status`.
    """

    def __init__(self, log: Path | None = None) -> None:
        self._log = log.open("a", encoding="utf-8", buffering=1) if log else None
        self.reset()

    def reset(self) -> None:
        """Forget all counts. The log stays."""
        self.counts: Counter[str] = Counter()
        self.answered = self.refused = self.abandoned = 0

    def arrived(self, content: str) -> None:
        """A request that a model is about to answer."""
        self.counts[content] += 1

    def ended(self, content: str | None, model: str, arrived: float, status: int, written: bool) -> None:
        """A request is over: refused, answered, or abandoned by its client; `content` is its hash, if it had one."""
        if status != 200:
            self.refused += 1
        elif written:
            self.answered += 1
        else:
            self.abandoned += 1
        if self._log is not None:
            answered = time.time() if written else None
            line = {"hash": content, "model": model, "arrived": arrived, "answered": answered, "status": status}
            self._log.write(json.dumps(line) + "\n")

    def stats(self) -> dict[str, Any]:
        """`requests` is all that came, refused ones too; the counts by hash are of those that a model could answer."""
        asked = self.counts.total()
        return {
            "requests": asked + self.refused,
            "answered": self.answered,
            "refused": self.refused,
            "abandoned": self.abandoned,
            "distinct": len(self.counts),
            "max_repeats": max(self.counts.values(), default=0),
            "counts": dict(self.counts),
        }
