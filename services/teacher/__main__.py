"""`python -m services.teacher`."""

from __future__ import annotations

from services.teacher.tasks import app
from shared.queues import run_worker

if __name__ == "__main__":
    run_worker(app, "teacher", 4)
