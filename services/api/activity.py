"""Who is at work: workers that answer, and messages that wait in each queue. Asked at most once in a few seconds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import kombu.exceptions
import redis
import structlog
from celery import Celery

from shared.kinds import QUEUES, TRAINER_QUEUES

log = structlog.get_logger()

EVERY_S = 10.0
ANSWER_S = 1.0
"""How long workers may take to answer. Those that answer late are counted the next time."""


@dataclass(frozen=True)
class QueueState:
    """One queue. `workers` is None until they were asked."""

    queue: str
    waiting: int
    workers: int | None


@dataclass
class Activity:
    """Answers at once from what it last heard; a thread asks anew, while somebody wants to know."""

    app: Celery
    redis: redis.Redis
    _workers: Counter[str] | None = None
    _asked: float = -1e9
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def queues(self) -> list[QueueState]:
        """Every queue. Raises redis errors."""
        if time.monotonic() - self._asked > EVERY_S and self._asking.acquire(blocking=False):
            threading.Thread(target=self._ask, name="activity", daemon=True).start()
        known = self._workers
        # Those of other hardware classes where there are workers of one.
        names = [*QUEUES, *sorted({queue for queue in known or () if queue in TRAINER_QUEUES} - set(QUEUES))]
        with self.redis.pipeline(transaction=False) as pipe:
            for queue in names:
                pipe.llen(queue)
            waiting = pipe.execute()
        return [
            QueueState(queue, int(count), None if known is None else known[queue])
            for queue, count in zip(names, waiting, strict=True)
        ]

    def _ask(self) -> None:
        try:
            answers = self.app.control.ping(timeout=ANSWER_S)
            # A worker is called `<queue>-<process>@<host>`.
            names = [name for answer in answers for name in answer]
            self._workers = Counter(name.rpartition("@")[0].rpartition("-")[0] for name in names)
        except (kombu.exceptions.OperationalError, redis.RedisError, OSError) as error:
            log.warning("activity.not_heard", error=str(error))
        finally:
            self._asked = time.monotonic()
            self._asking.release()
