"""Which queues have a worker: each says so every few seconds, under a name that expires. Losable, as all hints."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import redis
import structlog

log = structlog.get_logger()

EVERY = 5.0
EXPIRES = 15.0


def announce(client: redis.Redis, queue: str) -> None:
    """Say from now on, as long as this process lives, that a worker of the queue does. Redis may come and go."""
    threading.Thread(target=_announce, args=(client, queue), name="presence", daemon=True).start()


def absent(client: redis.Redis, queues: Iterable[str]) -> frozenset[str]:
    """Of the queues, those whose workers have all been silent for `EXPIRES` seconds, or never spoke."""
    names = sorted(set(queues))
    if not names:
        return frozenset()
    found = client.mget([_name(queue) for queue in names])
    return frozenset(queue for queue, said in zip(names, found, strict=True) if said is None)


def _announce(client: redis.Redis, queue: str) -> None:
    pause = threading.Event()
    while True:
        try:
            client.set(_name(queue), 1, px=int(EXPIRES * 1000))
        except redis.RedisError as error:
            log.debug("presence.not_said", queue=queue, error=str(error))
        pause.wait(EVERY)


def _name(queue: str) -> str:
    return f"present:{queue}"
