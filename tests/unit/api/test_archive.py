"""An experiment's archive: whole, readable by anybody's unzip, and without what is gone."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import redis
from celery import Celery

from services.api.archive import contents, safe, zipped
from services.api.pages.figures import Figure
from services.api.pictures import Pictures
from services.api.planned import Planned
from services.api.reportfiles import Reports
from services.api.voted import Voted
from shared import records
from shared.spec.parse import parse_spec
from tests.unit.analyst.fixture import experiment, quickstart
from tests.unit.api.test_lineage import rows_of


def test_it_holds_spec_report_figures_and_every_committed_table(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    made.store.put("experiments/one/spec.txt", b"name: x")
    made.store.put("scratch/reports/one/report.json", b"{}")
    rows = rows_of(made)
    summary = {"id": "one", "name": "x", "stages": rows, "report": None}
    figure = Figure("forest-wide", "", "", 1, 1, b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>")
    narrow = replace(figure, name="forest-narrow")
    made.store.put("experiments/one/human/votes/01.json", b"{}")
    # Nothing is asked of Redis for a report that is partial.
    reports = Reports(made.store, Voted(made.store, redis.Redis(), Celery()))
    planned = Planned(parse_spec(quickstart()), made.plan)
    entries = contents(made.store, reports, summary, planned, {one.name: one for one in (figure, narrow)}, Pictures())
    pieces = list(zipped(entries))
    assert len(pieces) > 20, "it is sent as it is made"
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert archive.testzip() is None
    names = archive.namelist()
    assert len(set(names)) == len(names)
    # Neither resolved.json nor report.html is there.
    assert {"spec.yaml", "experiment.json", "report.json", "figures/forest-wide.svg", "votes/01.json"} <= set(names)
    assert "figures/forest-narrow.svg" in names and "figures/forest-narrow.png" not in names
    assert archive.read("figures/forest-wide.png").startswith(b"\x89PNG")
    assert not {"resolved.json", "report.html"} & set(names)
    judged = [name for name in names if name.startswith("stages/judge-") and name.endswith(".parquet")]
    assert len(judged) == sum(row["kind"] == "judge" for row in rows)
    assert records.read(archive.read(judged[0]), records.JUDGEMENTS).num_rows > 0
    commits = [json.loads(archive.read(name)) for name in names if name.endswith(".commit.json")]
    assert {one["key"] for one in commits} == {row["key"] for row in rows}


def test_names_are_those_of_plain_files() -> None:
    assert safe("win-rate@0.7, seed 0/../x") == "win-rate@0.7-seed-0-..-x"
    assert safe("../..") == ""
