"""The analyst's tasks: the report stage, and partial reports while an experiment runs."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import structlog
from celery import Celery
from pydantic import ValidationError

from services.analyst.as_json import to_json
from services.analyst.bandit_tasks import bandit_report
from services.analyst.build import build_report
from services.analyst.critics.joining import with_critics
from services.analyst.critics.reading import read_labellers
from services.analyst.intervals import Crossed
from services.analyst.matrix import build_matrix
from services.analyst.matrix_page import matrix_to_html
from services.analyst.model import MatrixReport, Report
from services.analyst.page import to_html
from services.analyst.params import cells_of
from services.analyst.power import components
from services.analyst.reading import NO_VOTES, read_inputs
from shared.artifacts import Artifact, CommitRef, StageResult
from shared.bandit import KIND
from shared.context import StageContext, file_cache
from shared.errors import Outage, PermanentError
from shared.experiments import partial_report_name
from shared.human import Ballots, read_ballots
from shared.runner import process_runner
from shared.settings import Settings
from shared.store import ObjectStore

log = structlog.get_logger()

JSON, HTML = "report.json", "report.html"


def report(ctx: StageContext) -> StageResult:
    """Make `report.json` and `report.html` from all of an experiment's judgements.

    Raises:
        PermanentError: an input is missing or not well formed; the same inputs would fail again.
    """
    if ctx.unit.params.get("kind") == KIND:
        return bandit_report(ctx)
    artifacts = by_name(ctx.unit.inputs, ctx.input)
    made = made_of(ctx.unit.params, artifacts, partial=False)
    scores = sum(name.startswith("judge/") for name in ctx.unit.inputs)
    files = files_of(made)
    level = json.loads(files[JSON])["verdict"]["level"]
    return StageResult(dict(files), {"scores": scores, "primary": variances(made), "level": level})


def by_name(refs: Mapping[str, CommitRef], load: Callable[[str], Artifact]) -> dict[str, Artifact]:
    """The artifacts under all of their names; each is loaded once, however many names it has."""
    loaded: dict[CommitRef, Artifact] = {}
    for name, ref in refs.items():
        if ref not in loaded:
            loaded[ref] = load(name)
    return {name: loaded[ref] for name, ref in refs.items()}


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collections: all the rows that a report holds would be looked through again and again, which is a
    fifth of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def make(
    params: Mapping[str, Any], artifacts: Mapping[str, Artifact], partial: bool, ballots: Ballots = NO_VOTES
) -> dict[str, bytes]:
    """Both files from a report stage's params, the artifacts that are there, and votes. Raises as `made_of` does."""
    return files_of(made_of(params, artifacts, partial, ballots))


@uncollected()
def files_of(report: Report | MatrixReport) -> dict[str, bytes]:
    html = to_html(report) if isinstance(report, Report) else matrix_to_html(report)
    return {JSON: to_json(report), HTML: html}


def variances(report: Report | MatrixReport) -> dict[str, Any] | None:
    """The primary contrast's, which tell what a like experiment will see; None of a matrix and where there are none."""
    primary = report.primary_result if isinstance(report, Report) else None
    if primary is None or not isinstance(primary.error, Crossed):
        return None
    return {**asdict(components(primary.error)), "prompts": primary.prompts, "seeds": primary.seeds}


@uncollected()
def made_of(
    params: Mapping[str, Any], artifacts: Mapping[str, Artifact], partial: bool, ballots: Ballots = NO_VOTES
) -> Report | MatrixReport:
    """The report from a report stage's params, the artifacts that are there, and people's votes, if any.

    Raises:
        PermanentError: what was read is not well formed.
    """
    try:
        cells = {name: read_inputs(cell, artifacts, ballots) for name, cell in cells_of(params).items()}
        labellers, facts = read_labellers(params.get("critics", {}), artifacts), next(iter(cells.values())).stages
        if "cells" in params:
            return with_critics(build_matrix(cells, partial), labellers, facts)
        return with_critics(build_report(cells[""], partial), labellers, facts)
    except (ValueError, ValidationError) as error:
        raise PermanentError(f"report: {error}") from error


def partial_report(
    store: ObjectStore, settings: Settings, experiment: str, params: Mapping[str, Any], refs: Mapping[str, CommitRef]
) -> None:
    """Write an unfinished experiment's report where the API looks for it.

    Raises:
        Outage: the store is away.
        PermanentError: what was read is not well formed.
    """
    cache = file_cache(settings)
    artifacts = by_name(refs, lambda name: Artifact.load(store, refs[name], cache))
    ballots = read_ballots(store, experiment)
    for name, data in make(params, artifacts, partial=True, ballots=ballots).items():
        store.put(partial_report_name(experiment, name), data)


def register_partial(app: Celery) -> None:
    """Make partial reports a task of `app`. It is a courtesy: a failure is logged, the next one is asked for anyway."""

    def task(payload: dict[str, Any]) -> None:
        runner = process_runner()
        refs = {name: CommitRef.model_validate(ref) for name, ref in payload["inputs"].items()}
        try:
            partial_report(runner.store, runner.settings, payload["experiment"], payload["params"], refs)
        except (Outage, PermanentError) as error:
            log.warning("partial_report.failed", experiment=payload["experiment"], error=str(error))

    app.task(name="partial-report")(task)
