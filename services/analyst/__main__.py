"""The analyst worker: `python -m services.analyst`."""

from __future__ import annotations

from services.analyst.bandit_tasks import bandit_stage
from services.analyst.tasks import register_partial, report
from services.analyst.tuning.stages import checkpoint_stage, choose_stage
from services.analyst.voted_report import register_voted
from shared.queues import celery_app, run_worker
from shared.runner import register

app = celery_app("analyst")
register(app, "report", report)
register(app, "bandit", bandit_stage)
register(app, "checkpoint", checkpoint_stage)
register(app, "choose", choose_stage)
register_partial(app)
register_voted(app)

if __name__ == "__main__":
    run_worker(app, "analysis", concurrency=1)
