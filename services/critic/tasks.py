"""The critic queue's tasks."""

from __future__ import annotations

from services.critic.judge import judge
from services.critic.label import label
from shared.queues import celery_app
from shared.runner import register

app = celery_app("critic")
register(app, "label", label)
register(app, "judge", judge)
