"""`python -m services.teacher`."""

from __future__ import annotations

from services.teacher.tasks import app
from shared.llm.worker import keep_session
from shared.queues import run_worker

if __name__ == "__main__":
    keep_session()
    run_worker(app, "teacher", 4)
