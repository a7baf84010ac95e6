"""`python -m services.inference`: one stage at a time. It never imports torch; its engines do."""

from __future__ import annotations

from services.inference.tasks import app
from shared.queues import run_worker

if __name__ == "__main__":
    run_worker(app, "inference", 1)
