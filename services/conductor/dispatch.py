"""Queueing what is ready: each unit once, and again only when it is surely not on its way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

import redis
import structlog
from celery import Celery

from services.conductor.board import Board
from services.conductor.turns import AHEAD, QUEUES
from shared.attempts import read_markers, verdict
from shared.context import stop_name
from shared.kinds import queue_of
from shared.queues import send_unit
from shared.runner import queued_name
from shared.settings import Settings
from shared.store import ObjectStore
from shared.units import Unit

log = structlog.get_logger()

HELD_LEASES = 3
"""Lifetimes of a lease in which whoever lives has announced itself, even if Redis is wiped every second."""
LOST_AFTER = 5.0


class Dispatcher:
    """Sends units to their queues and gives up those that failed too often."""

    def __init__(self, settings: Settings, store: ObjectStore, client: redis.Redis, app: Celery, board: Board) -> None:
        self._settings = settings
        self._store = store
        self._redis = client
        self._app = app
        self._board = board
        self._unsent: list[str] = []
        self._depths: dict[str, int] = {}

    def dispatch(self, units: Iterable[Unit]) -> list[tuple[Unit, str]]:
        """Queue the units that may be queued now. Returns those that must be given up, with the error."""
        now = time.monotonic()
        failed: list[tuple[Unit, str]] = []
        ready: list[Unit] = []
        standing: Counter[tuple[str, str]] = Counter()
        self._depths.clear()
        self._unmark_unsent()
        for unit in units:
            seen = self._board[unit.commit_key]
            if seen.leased or now < seen.not_before:
                continue
            if self._on_its_way(unit, now):
                standing[unit.experiment, queue_of(unit.kind, unit.options)] += 1
            else:
                ready.append(unit)
        for unit in ready:
            place = (unit.experiment, queue_of(unit.kind, unit.options))
            if place[1] in QUEUES and standing[place] >= AHEAD:
                continue
            if error := self._given_up(unit):
                failed.append((unit, error))
            elif time.monotonic() >= self._board[unit.commit_key].not_before:
                self._send(unit)
                standing[place] += 1
        return failed

    def depth(self, queue: str) -> int:
        """How many messages stand in a queue, asked once a round."""
        if queue not in self._depths:
            self._depths[queue] = int(self._redis.llen(queue))
        return self._depths[queue]

    def _on_its_way(self, unit: Unit, now: float) -> bool:
        """Whether its message may still stand in the queue: it has a mark, or had one that ran out.

        A message is taken from an empty queue within moments, so a mark that outlives the queue is a lost message's.
        """
        seen = self._board[unit.commit_key]
        if seen.queued_at is None:
            if not seen.queued:
                return False
            seen.queued_at = now
        if not seen.queued and now - seen.queued_at < self._settings.queued_seconds:
            return False
        if now - seen.queued_at < LOST_AFTER or self.depth(queue_of(unit.kind, unit.options)):
            return True
        self._redis.delete(queued_name(unit.commit_key))
        return False

    def _unmark_unsent(self) -> None:
        """Remove the marks of messages that a broker which was away did not take."""
        while self._unsent:
            self._redis.delete(queued_name(self._unsent[-1]))
            self._unsent.pop()

    def _given_up(self, unit: Unit) -> str | None:
        """Look at the attempts that were made, before one more; a waiting one sets the time of the next."""
        seen = self._board[unit.commit_key]
        if not seen.attempted:
            return None
        markers = read_markers(self._store, unit.attempts_prefix)
        if not markers:
            return None
        error = verdict(markers, unit.experiment, unit.generation)
        last = markers[-1]
        now = time.monotonic()
        if last.outcome is None and now < self._board.hold_until:
            seen.held_since = seen.held_since or now
            seen.not_before = min(self._board.hold_until, seen.held_since + HELD_LEASES * self._settings.lease_seconds)
            if now < seen.not_before:
                return None
        if error is None and last.outcome == "waiting" and not seen.reason:
            seen.reason = last.message
            seen.not_before = time.monotonic() + (last.retry_after or self._settings.retry_seconds)
        return error

    def _send(self, unit: Unit) -> None:
        seen = self._board[unit.commit_key]
        marked = self._redis.set(queued_name(unit.commit_key), 1, nx=True, px=int(self._settings.queued_seconds * 1000))
        if not marked:
            seen.queued = True
            return
        # It may have been asked to make room; what it is asked from now on is for this message.
        self._redis.delete(stop_name(unit.commit_key))
        try:
            send_unit(self._app, unit.kind, unit.model_dump(mode="json"))
        except BaseException:
            self._unsent.append(unit.commit_key)
            raise
        seen.queued, seen.queued_at = True, time.monotonic()
        log.info("unit.queued", kind=unit.kind, key=unit.key[:12], shard=str(unit.shard or ""))
