"""`python -m infra.ping QUEUE`: whether this host's worker of a queue answers Celery's ping. For health checks."""

from __future__ import annotations

import socket
import sys

from shared.queues import celery_app


def main(queue: str) -> int:
    """0 if a worker of this queue on this host answers within ten seconds, else 1."""
    replies = celery_app("ping").control.ping(
        timeout=10, limit=1, pattern=f"{queue}-*@{socket.gethostname()}", matcher="glob"
    )
    return 0 if replies else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
