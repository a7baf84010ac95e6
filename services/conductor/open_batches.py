"""Batches at providers that nobody needs any more: their stages' workers have gone, so one is asked to cancel them."""

from __future__ import annotations

from collections.abc import Collection

import redis
import structlog
from celery import Celery

from shared.llm.batches import open_names, stage_of
from shared.queues import send_cancel_batch
from shared.store import ObjectStore

log = structlog.get_logger()

ASK_AGAIN_MS = 5_000


class OpenBatches:
    """The batches that were open when last listed."""

    def __init__(self, store: ObjectStore, client: redis.Redis, app: Celery) -> None:
        self._store = store
        self._redis = client
        self._app = app
        self._names: list[str] = []

    def relist(self) -> None:
        """List them. Do it before the experiments are listed: each is then known with the experiment that it is of."""
        self._names = list(open_names(self._store))

    def cancel_unwanted(self, wanted: Collection[str]) -> None:
        """Have those cancelled that no stage of `wanted` submitted; asked again until they are gone."""
        for name in self._names:
            if stage_of(name) in wanted or not self._redis.set(f"asked:{name}", 1, nx=True, px=ASK_AGAIN_MS):
                continue
            send_cancel_batch(self._app, name)
            log.info("batch.cancel", batch=name)
