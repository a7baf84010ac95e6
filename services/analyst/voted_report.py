"""A finished experiment's report made anew with people's votes in it.

The committed report is made of its stage's key alone and never changes; votes come later. So this one lies beside the
votes, under a name that says which votes and which report it is of, and is written once. Its verdict is the same.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery

from services.analyst.tasks import HTML, JSON, by_name, make
from shared.artifacts import Artifact, commit_prefix, oldest, read_commit
from shared.context import file_cache
from shared.errors import PermanentError, TouchstoneError
from shared.experiments import read_resolved
from shared.human import read_ballots, report_name
from shared.plan.experiment import plan
from shared.runner import process_runner
from shared.settings import Settings
from shared.store import ObjectStore

log = structlog.get_logger()


def voted_report(store: ObjectStore, settings: Settings, experiment: str) -> bool:
    """Write the report with all votes until now; False where it was there already, or there is nothing to vote on.

    Raises:
        Outage: the store is away.
        PermanentError: the committed report is not of this version's plan, or what was read is not well formed.
    """
    ballots = read_ballots(store, experiment)
    resolved = read_resolved(store, experiment)
    if resolved is None or not ballots.objects:
        return False
    made = plan(resolved)
    first = oldest(store.list(commit_prefix(made.report)))
    if first is None:
        raise PermanentError(f"experiment {experiment}: its report is not of this version; run it again")
    _, manifest = read_commit(store, first.name)
    committed = manifest.files[JSON].object
    if store.exists(report_name(experiment, committed, ballots.objects, JSON)):
        return False
    cache = file_cache(settings)
    artifacts = by_name(manifest.inputs, lambda name: Artifact.load(store, manifest.inputs[name], cache))
    files = make(made.stages[made.report].params, artifacts, partial=False, ballots=ballots)
    # The JSON last: whoever finds it finds both.
    for file in (HTML, JSON):
        store.put(report_name(experiment, committed, ballots.objects, file), files[file])
    return True


def register_voted(app: Celery) -> None:
    """Make it a task of `app`. Nothing is lost with a message: whoever looks at the report asks again."""

    def task(payload: dict[str, Any]) -> None:
        runner = process_runner()
        try:
            voted_report(runner.store, runner.settings, payload["experiment"])
        except (TouchstoneError, KeyError) as error:
            log.warning("voted_report.failed", experiment=payload["experiment"], error=str(error))

    app.task(name="voted-report")(task)
