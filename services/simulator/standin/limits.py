"""Rate limits as a provider keeps them: a bucket that refills evenly, and a window that slides. Pure: time is given."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from services.simulator.standin.faults import Faults

SPAN = 60.0
Kind = Literal["requests", "tokens"]


class Window:
    """What came within the last 60 s, and the most that ever came within 60 s."""

    def __init__(self) -> None:
        self.requests = self.tokens = self.most_requests = self.most_tokens = 0
        self._came: deque[tuple[float, int]] = deque()

    def add(self, now: float, tokens: int) -> None:
        self.forget(now)
        self._came.append((now, tokens))
        self.requests += 1
        self.tokens += tokens
        self.most_requests = max(self.most_requests, self.requests)
        self.most_tokens = max(self.most_tokens, self.tokens)

    def forget(self, now: float) -> None:
        """Drop what came 60 s ago or earlier."""
        while self._came and self._came[0][0] <= now - SPAN:
            self.requests -= 1
            self.tokens -= self._came.popleft()[1]

    def empties(self, now: float) -> float:
        """Seconds until all of it has left."""
        return self._came[-1][0] + SPAN - now if self._came else 0.0

    def frees(self, now: float, kind: Kind, amount: float) -> float:
        """Seconds until so much of what is in the window has left it; 0 if it need not."""
        wait = 0.0
        for came, tokens in self._came:
            if amount <= 0:
                return wait
            amount -= 1 if kind == "requests" else tokens
            wait = came + SPAN - now
        return wait if amount <= 0 else SPAN


class Bucket:
    """A level that refills evenly up to its capacity."""

    def __init__(self, per_minute: float, burst_s: float, now: float) -> None:
        self.rate = per_minute / SPAN
        self.capacity = self.rate * burst_s
        self.level = self.capacity
        self._at = now

    def refill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self._at) * self.rate)
        self._at = now

    def wait(self, amount: float) -> float:
        """Seconds until so much is there."""
        return max(0.0, (amount - self.level) / self.rate)


@dataclass(frozen=True)
class State:
    """One limit after a request: what is left of it, and in how many seconds it is whole again."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True)
class Admission:
    """Whether a request may pass; if not, for which limit, how much of that is used, and how long to wait."""

    states: dict[Kind, State] = field(default_factory=dict)
    refused: Kind | None = None
    wait: float = 0.0


class Gate:
    """The limits of one key and model. What is refused uses nothing up."""

    def __init__(self, faults: Faults, now: float) -> None:
        self.arrived = Window()
        self.admitted = Window()
        self.set(faults, now)

    def set(self, faults: Faults, now: float) -> None:
        """New limits; their buckets are full."""
        given: dict[Kind, int | None] = {
            "requests": faults.requests_per_minute,
            "tokens": faults.tokens_per_minute,
        }
        self._limits: dict[Kind, int] = {kind: limit for kind, limit in given.items() if limit is not None}
        self._buckets = {kind: Bucket(limit, faults.burst_s, now) for kind, limit in self._limits.items()}
        self._enforce = faults.enforce

    def arrive(self, now: float, tokens: int) -> Admission:
        """Count a request that weighs so many tokens, and say whether it may pass."""
        self.arrived.add(now, tokens)
        self.admitted.forget(now)
        amounts: dict[Kind, int] = {"requests": 1, "tokens": tokens}
        waits: dict[Kind, float] = {}
        for kind, bucket in self._buckets.items():
            bucket.refill(now)
            waits[kind] = self._wait(now, kind, amounts[kind])
        refused = max(waits, key=lambda kind: waits[kind], default=None)
        if refused is not None and waits[refused] > 0:
            return Admission(self._states(now), refused, waits[refused])
        for kind, bucket in self._buckets.items():
            bucket.level -= amounts[kind]
        self.admitted.add(now, tokens)
        return Admission(self._states(now))

    def _wait(self, now: float, kind: Kind, amount: int) -> float:
        bucket = self._buckets[kind].wait(amount) if self._enforce != "window" else 0.0
        over = self._used(kind) + amount - self._limits[kind]
        window = self.admitted.frees(now, kind, over) if self._enforce != "bucket" else 0.0
        return max(bucket, window)

    def _states(self, now: float) -> dict[Kind, State]:
        states: dict[Kind, State] = {}
        for kind, limit in self._limits.items():
            bucket = self._buckets[kind]
            left, reset = bucket.level, bucket.wait(bucket.capacity)
            if self._enforce == "window" or (self._enforce == "both" and limit - self._used(kind) < left):
                left, reset = limit - self._used(kind), self.admitted.empties(now)
            states[kind] = State(limit, max(0, math.floor(left)), reset)
        return states

    def _used(self, kind: Kind) -> int:
        return self.admitted.requests if kind == "requests" else self.admitted.tokens
