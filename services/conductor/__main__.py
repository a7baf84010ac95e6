"""`python -m services.conductor`."""

from __future__ import annotations

import signal
import sys
import time

import structlog

from services.conductor.reconcile import Conductor
from shared.errors import Outage
from shared.logs import configure_logs
from shared.queues import celery_app, redis_client
from shared.settings import get_settings
from shared.store import S3Store

log = structlog.get_logger()


def main() -> None:
    """Run the conductor until it is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    configure_logs()
    settings = get_settings()
    store = S3Store.from_settings(settings)
    while True:
        try:
            store.ensure_bucket()
            break
        except Outage as outage:
            log.warning("conductor.waiting_for_store", error=str(outage))
            time.sleep(0.5)
    Conductor(settings, store, redis_client(settings), celery_app("conductor", settings)).run()


if __name__ == "__main__":
    main()
