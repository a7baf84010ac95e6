"""The Celery app that Flower watches: `celery -A infra.flower flower`."""

from __future__ import annotations

from shared.queues import celery_app

app = celery_app("flower")
