"""`python -m services.critic`."""

from __future__ import annotations

from services.critic.tasks import app
from shared.llm.worker import keep_session
from shared.queues import run_worker

if __name__ == "__main__":
    keep_session()
    run_worker(app, "critic", 4)
