"""`python -m infra.health worker|conductor|URL`: a container's health check; exit status 0 where all is well."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request

import redis
from kombu.exceptions import OperationalError

from shared.queues import celery_app, redis_client

PATIENCE = 5.0


def worker_answers() -> bool:
    """Whether the Celery worker of this very host answers a ping."""
    here = f"*@{socket.gethostname()}"
    return bool(celery_app("health").control.ping(timeout=PATIENCE, limit=1, pattern=here, matcher="glob"))


def conductor_beats() -> bool:
    """Whether the conductor turned its loop within the last seconds."""
    return bool(redis_client().exists("conductor:heartbeat"))


def address_answers(url: str) -> bool:
    """Whether an HTTP address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def main() -> None:
    """Check what the first word names."""
    what = sys.argv[1]
    try:
        healthy = {"worker": worker_answers, "conductor": conductor_beats}.get(what, lambda: address_answers(what))()
    except (redis.RedisError, OperationalError) as error:
        sys.exit(f"Redis is away: {error}")
    if not healthy:
        sys.exit(f"{what} does not answer")


if __name__ == "__main__":
    main()
