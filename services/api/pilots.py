"""Which earlier experiment tells of the variances that a new one's primary contrast will have."""

from __future__ import annotations

from functools import lru_cache

import structlog

from services.api.committed import commits_of
from services.api.past import EXPERIMENTS, manifest_at, newest
from shared.errors import BadInput
from shared.estimate.power import Design, Pilot, design_of
from shared.experiments import read_resolved
from shared.plan.experiment import plan
from shared.power import Components
from shared.store import ObjectStore

log = structlog.get_logger()


def find_pilot(store: ObjectStore, design: Design) -> Pilot | None:
    """The newest of the last experiments that is like it and has its report. Raises `Outage`."""
    if design.likeness is None:
        return None
    reports = {id: report_of(store, id) for id in newest(store)}  # type: ignore[arg-type]
    alike = {id: key for id, (key, likeness) in reports.items() if likeness == design.likeness}
    commits = commits_of(store, alike.values()) if alike else {}
    for id, key in alike.items():
        manifest = manifest_at(store, commits[key]) if key in commits else None
        measured = manifest.metrics.get("primary") if manifest is not None else None
        if measured:
            parts = Components(measured["prompt"], measured["seed"], measured["residual"], measured["recipe"])
            return Pilot(id, parts, measured["prompts"], measured["seeds"])
    return None


# An experiment's resolved spec never changes.
@lru_cache(maxsize=4 * EXPERIMENTS)
def report_of(store: ObjectStore, id: str) -> tuple[str, str | None]:
    """An experiment's report's key and its likeness; ("", None) of one that this version cannot plan."""
    try:
        resolved = read_resolved(store, id)
        if resolved is None or (spec := resolved.bounded) is None:
            return "", None
        return plan(resolved).report, design_of(spec, resolved.counts).likeness
    except (BadInput, ValueError, KeyError) as error:
        log.info("plan.pilot_skipped", experiment=id, error=str(error))
        return "", None
