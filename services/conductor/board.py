"""What is known of units from Redis and from signals: leased, queued, waiting, how far. All of it may be lost."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import redis

from shared.kinds import queue_of
from shared.leases import lease_name
from shared.presence import absent
from shared.runner import queued_name
from shared.units import Unit

EPOCH = "epoch"


@dataclass
class Seen:
    """One unit, as last heard of. Times are this process's monotonic clock."""

    leased: bool = False
    leased_at: float | None = None
    queued: bool = False
    queued_at: float | None = None
    attempted: bool = False
    not_before: float = 0.0
    held_since: float | None = None
    """Since when an attempt without an end has had time to announce itself; however often Redis is wiped, that ends."""
    reason: str | None = None
    done: int = 0
    total: int = 0
    where: str | None = None
    """The worker that last began it, by the name that Flower shows."""


@dataclass
class Board:
    """The units that matter now."""

    units: dict[str, Seen] = field(default_factory=dict)
    cold: bool = True
    """Just started: units may have been attempted before, which their markers in the store tell."""
    absent: frozenset[str] = frozenset()
    """Queues in which something has stood for a while, and which no worker serves."""
    hold_until: float = 0.0
    """At the start, and after Redis was wiped or away: until then, running work may not have announced itself yet."""

    def __getitem__(self, commit_key: str) -> Seen:
        if commit_key not in self.units:
            self.units[commit_key] = Seen(attempted=self.cold)
        return self.units[commit_key]

    def refresh(self, client: redis.Redis, commit_keys: Iterable[str], epoch: bytes | None) -> bool:
        """Ask Redis, in one round trip, who is leased and who is queued.

        False, with nothing taken in, if its epoch is another: then a lease that is missing may have been wiped.
        """
        keys = list(commit_keys)
        names = [lease_name(key) for key in keys] + [queued_name(key) for key in keys]
        now, *found = client.mget([EPOCH, *names])
        if now != epoch:
            return False
        for key, lease, queued in zip(keys, found[: len(keys)], found[len(keys) :], strict=True):
            seen = self[key]
            seen.leased, seen.queued = lease is not None, queued is not None
            seen.leased_at = (seen.leased_at or time.monotonic()) if seen.leased else None
            if seen.leased:
                seen.queued_at, seen.attempted, seen.held_since = None, True, None
        return True

    def look_for_workers(self, client: redis.Redis, units: Iterable[Unit], patience: float) -> None:
        """Find out which queues have no worker, of those in which a message has stood for `patience` seconds."""
        before = time.monotonic() - patience
        standing = (unit for unit in units if (at := self[unit.commit_key].queued_at) is not None and at < before)
        self.absent = absent(client, (queue_of(unit.kind, unit.options) for unit in standing))

    def broker_lost(self, lease_seconds: float) -> None:
        """Leases may be gone while their holders work: these get a lease's lifetime to say so.

        What was on its way may have been taken meanwhile: its markers tell.
        """
        self.hold_until = until = time.monotonic() + lease_seconds
        for seen in self.units.values():
            seen.attempted |= seen.queued or seen.queued_at is not None
            seen.queued_at, seen.queued = None, False
            if seen.leased:
                seen.leased = False
                seen.not_before = until

    def keep(self, commit_keys: set[str]) -> None:
        """Forget all other units."""
        self.units = {key: seen for key, seen in self.units.items() if key in commit_keys}
