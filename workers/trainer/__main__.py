"""The trainer worker: `python -m workers.trainer`. It never imports torch; its trainings do."""

from __future__ import annotations

from shared.kinds import trainer_queue
from shared.queues import celery_app, run_worker
from shared.runner import register
from shared.settings import get_settings
from workers.trainer.leftovers import sweep
from workers.trainer.stage import train

app = celery_app("trainer")
for kind in ("pretrain", "sft", "reference", "rl", "reward_model"):
    register(app, kind, train)

if __name__ == "__main__":
    sweep(get_settings().data_dir / "attempts")
    run_worker(app, trainer_queue(get_settings().trainer_gpus), concurrency=1)
