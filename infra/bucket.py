"""`python -m infra.bucket`: waits for the object store and creates the bucket, so that everything else finds it."""

from __future__ import annotations

import sys
import time

import structlog

from shared.errors import Outage
from shared.logs import configure_logs
from shared.settings import get_settings
from shared.store import S3Store

log = structlog.get_logger()
PATIENCE = 120.0
PAUSE = 1.0


def main() -> None:
    """Create the bucket; exit status 1 if the store does not answer within two minutes."""
    configure_logs()
    settings = get_settings()
    store = S3Store.from_settings(settings)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            store.ensure_bucket()
            break
        except Outage as outage:
            if time.monotonic() > deadline:
                sys.exit(f"error: TOUCHSTONE_S3_ENDPOINT={settings.s3_endpoint}: {outage}")
            log.info("bucket.waiting", error=str(outage))
            time.sleep(PAUSE)
    log.info("bucket.ready", bucket=settings.s3_bucket)


if __name__ == "__main__":
    main()
