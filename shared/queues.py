"""The Celery app: plain queues, one a role, and the settings that findings on real faults led to.

Messages are hints (design.md): acknowledged on receipt, never relied on. What brings lost ones back is the conductor.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import redis
from celery import Celery
from kombu import Queue as KombuQueue

from shared.kinds import QUEUES, TRAINER_QUEUES, queue_of
from shared.logs import configure_logs
from shared.presence import announce
from shared.settings import Settings, get_settings


def celery_app(name: str, settings: Settings | None = None) -> Celery:
    """A Celery app for a service or worker; it connects only when used."""
    settings = settings or get_settings()
    app = Celery(name, broker=settings.redis_url.get_secret_value(), set_as_current=False)
    app.conf.update(
        task_queues=[KombuQueue(queue) for queue in dict.fromkeys((*QUEUES, *TRAINER_QUEUES))],
        task_create_missing_queues=False,
        task_acks_late=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # With prefetch, a worker that holds a reserved message dies when the broker does (celery 5.7).
        worker_disable_prefetch=True,
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
    )
    return app


def redis_client(settings: Settings | None = None) -> redis.Redis:
    """A Redis client that answers in bytes and gives up after seconds, not minutes."""
    settings = settings or get_settings()
    return redis.Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=10, socket_connect_timeout=5, health_check_interval=15
    )


def send_unit(app: Celery, kind: str, payload: dict[str, Any]) -> None:
    """Queue one unit on its queue. Raises kombu's OperationalError when the broker is away."""
    app.send_task(kind, args=[payload], queue=queue_of(kind, payload["options"]), retry=False)


def worker_name(queue: str) -> str:
    """What this process is called as a worker of a queue: in Flower, and wherever it is said who does what."""
    return f"{queue}-{os.getpid()}@{socket.gethostname()}"


def run_worker(app: Celery, queue: str, concurrency: int) -> None:
    """Run this process as a worker of one queue until it is told to end.

    Threads, since a `solo` worker cannot answer Flower during a task, and prefork would leave children behind.
    """
    configure_logs()
    announce(redis_client(), queue)
    app.worker_main(
        [
            "worker",
            f"--queues={queue}",
            "--pool=threads",
            f"--concurrency={concurrency}",
            f"--hostname={worker_name(queue)}",
            f"--loglevel={get_settings().log_level}",
            "--without-gossip",
            "--without-mingle",
        ]
    )


def send_partial(app: Celery, payload: dict[str, Any]) -> None:
    """Ask the analyst for a partial report; no stage, so nothing is lost with it."""
    app.send_task("partial-report", args=[payload], queue="analysis", retry=False, expires=60)


def send_voted(app: Celery, payload: dict[str, Any]) -> None:
    """Ask the analyst for a finished report with people's votes; whoever looks at it asks again until it is there."""
    app.send_task("voted-report", args=[payload], queue="analysis", retry=False, expires=60)


def send_cancel_batch(app: Celery, name: str) -> None:
    """Ask a worker to cancel an open batch; no stage, so the conductor asks again until the batch is closed."""
    app.send_task("cancel-batch", args=[{"batch": name}], queue="teacher", retry=False, expires=60)
