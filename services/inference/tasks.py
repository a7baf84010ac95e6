"""The inference queue's tasks."""

from __future__ import annotations

from services.inference.sample import sample
from services.inference.score import score
from shared.queues import celery_app
from shared.runner import register

app = celery_app("inference")
register(app, "sample", sample)
register(app, "score", score)
