"""The conductor's own keeping of a budget, in a thread, over the real store and Redis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from services.conductor.treasury import ALIVE, Treasury
from shared import signals
from shared.budget import Account, Ask, Budget, grants_folder, read_accounts
from shared.llm.caller import Origin
from shared.store import S3Store

ORIGIN = Origin("experiment", "5" * 64)


class Conductor:
    """The conductor's treasury, with one experiment; `budget` may be raised."""

    def __init__(self, store: S3Store, client: redis.Redis, budget: Budget) -> None:
        self.budget = budget
        self.ended = threading.Event()
        self.treasury = Treasury(store, client)
        # It has heard everybody.
        self.treasury._began -= ALIVE
        self._redis = client
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        cursor = b"0"
        while not self.ended.is_set():
            if not self._redis.exists(signals.STREAM):
                cursor = b"0"
            for _, entries in self._redis.xread({signals.STREAM: cursor}, block=50, count=100) or []:
                for at, fields in entries:
                    cursor = at
                    type, data = signals.decode(fields)
                    if type == "purse":
                        self.treasury.hear(Ask(**data))
            self.treasury.answer({ORIGIN.experiment: self.budget})
            self.treasury.refresh(ORIGIN.experiment, self.budget, 0)

    def blocked(self) -> list[str]:
        """The stages that wait for a higher budget."""
        return list(self.treasury.blocked(ORIGIN.experiment, self.budget))

    def stop(self) -> None:
        self.ended.set()
        self._thread.join()


@contextmanager
def conducting(store: S3Store, client: redis.Redis, total: int | None) -> Iterator[Conductor]:
    """`total`: nanodollars."""
    made = Conductor(store, client, Budget(total, {} if total else {"judge": 10**9}))
    try:
        yield made
    finally:
        made.stop()


def accounts(store: S3Store) -> dict[str, Account]:
    """What the store's records say of every purse."""
    return read_accounts(info.name for info in store.list(grants_folder(ORIGIN.experiment)))
