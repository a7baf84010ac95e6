"""Turns of experiments at a queue: a big one must not keep all of its workers while a small one waits.

The limiter shares out what an endpoint allows; this shares out the workers that ask. An experiment has few messages in
a queue at a time (`AHEAD`), so that another one's stands soon behind them; and where one has waited for some seconds
and works on nothing, units of the experiment that works on most end early. That costs nothing: what they have paid for
is in the ledger, and they are queued again behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.conductor.board import Board, Seen
from shared.budget import PAID_KINDS
from shared.kinds import KINDS, Queue
from shared.units import Unit

QUEUES: frozenset[Queue] = frozenset(KINDS[kind].queue for kind in PAID_KINDS)
"""Those with turns: their units wait for endpoints, and lose nothing when they end early."""
AHEAD = 2
"""Messages that an experiment has in such a queue at most; one more is sent as soon as one is taken."""
PATIENCE = 2.0
"""Seconds that a message may stand in a queue before others make room for it."""
SLICE = 30.0
"""Seconds that an experiment keeps its only unit while another one waits."""
AGAIN = 5.0
"""Seconds between two times that room is made at a queue."""
WORDS = "it makes room for another experiment, and goes on in its turn"


def to_end(units: Iterable[tuple[Unit, Seen]], standing: int, now: float) -> list[Unit]:
    """Units of one queue to end early, so that an experiment that waits gets a worker; `standing`: messages in it."""
    held: dict[str, list[tuple[float, Unit]]] = {}
    waiting: set[str] = set()
    for unit, seen in units:
        if seen.leased:
            held.setdefault(unit.experiment, []).append((seen.leased_at or now, unit))
        elif seen.queued_at is not None and now - seen.queued_at > PATIENCE:
            waiting.add(unit.experiment)
    if not held or not waiting - held.keys():
        return []
    ended: list[Unit] = []
    # All that stands in the queue may stand before the message that waits.
    for _ in range(standing):
        most = max(held.values(), key=len)
        if len(most) < 2:
            break
        ended.append(most.pop()[1])
    if not ended and standing:
        since, longest = min((one for ones in held.values() for one in ones), key=lambda one: one[0])
        ended = [longest] if now - since > SLICE else []
    # Gathering takes moments.
    return [unit for unit in ended if unit.parts is None]


@dataclass
class Turns:
    """When room was last made at each queue."""

    _made: dict[str, float] = field(default_factory=dict)

    def to_end(self, units: Iterable[Unit], board: Board, depth: Callable[[str], int]) -> list[Unit]:
        """Units to end early now; `depth` counts a queue's messages."""
        now, ended = time.monotonic(), list[Unit]()
        by_queue: dict[Queue, list[tuple[Unit, Seen]]] = {}
        for unit in units:
            if (queue := KINDS[unit.kind].queue) in QUEUES:
                by_queue.setdefault(queue, []).append((unit, board[unit.commit_key]))
        for queue, found in by_queue.items():
            if now - self._made.get(queue, -AGAIN) < AGAIN:
                continue
            if chosen := to_end(found, depth(queue), now):
                self._made[queue] = now
                ended += chosen
        return ended
