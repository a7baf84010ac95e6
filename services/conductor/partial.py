"""Partial reports: whenever more scores are there, the analyst is asked for a report of what there is so far."""

from __future__ import annotations

import redis
from celery import Celery

from services.conductor.experiment import Experiment
from shared.queues import send_partial

EVERY_MS = 5000


def ask_partial_report(app: Celery, client: redis.Redis, experiment: Experiment) -> None:
    """Queue a partial report if scores came in since the last; once in a few seconds at most."""
    assert experiment.accepted is not None
    report = experiment.plan.stages[experiment.plan.report]
    inputs = {
        name: experiment.accepted.refs[key] for name, key in report.inputs.items() if key in experiment.accepted.refs
    }
    scores = sum(name.startswith("judge/") for name in inputs)
    if not scores or scores == experiment.said_scores or report.key in experiment.needed:
        return
    if not client.set(f"partial:{experiment.id}", scores, nx=True, px=EVERY_MS):
        return
    experiment.said_scores = scores
    payload = {name: ref.model_dump(mode="json") for name, ref in inputs.items()}
    send_partial(app, {"experiment": experiment.id, "params": report.params, "inputs": payload})
