"""`python -m infra.bucket`: wait for the object store and make the bucket."""

from __future__ import annotations

import time

import structlog

from shared.errors import Outage
from shared.logs import configure_logs
from shared.settings import get_settings
from shared.store import S3Store

PATIENCE = 120.0


def main() -> None:
    """Make the bucket. Raises the last `Outage` when the store does not answer for two minutes."""
    configure_logs()
    store, deadline = S3Store.from_settings(get_settings()), time.monotonic() + PATIENCE
    while True:
        try:
            store.ensure_bucket()
        except Outage as outage:
            if time.monotonic() > deadline:
                raise
            structlog.get_logger().warning("bucket.waiting", error=str(outage))
            time.sleep(1.0)
        else:
            return


if __name__ == "__main__":
    main()
