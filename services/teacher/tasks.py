"""The teacher queue's tasks."""

from __future__ import annotations

from services.teacher.prompts import prompts
from services.teacher.teach import teach
from shared.llm.worker import register_cancel
from shared.queues import celery_app
from shared.runner import register

app = celery_app("teacher")
register_cancel(app)
register(app, "prompts", prompts)
register(app, "teach", teach)
