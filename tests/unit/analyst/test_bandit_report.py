"""The stages and the report of `kind: bandit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from services.analyst.bandit import Settings as Arithmetic
from services.analyst.bandit import bandit
from services.analyst.bandit_report import ARMS, EVALUATION, mean_of
from services.analyst.bandit_tasks import TABLE, as_table, bandit_stage, from_table
from services.analyst.tasks import report
from services.api.pages import results
from services.api.pages.figures import figures
from shared import records
from shared.artifacts import Artifact, CommitRef, Cost, FileRef, Manifest
from shared.canonical import sha256_hex
from shared.context import StageContext
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.settings import Settings
from shared.spec.resolve import resolve_any
from shared.store import MemoryStore
from shared.units import Unit

QUICK = {"steps": 1500, "rate": 0.05}


class Context:
    """What the handlers use of a stage's context."""

    def __init__(self, made: Plan, key: str, store: MemoryStore, refs: dict[str, CommitRef], cache: Path) -> None:
        stage = made.stages[key]
        inputs = {name: refs[source] for name, source in stage.inputs.items()}
        self.unit = Unit(key=key, kind=stage.kind, params=stage.params, inputs=inputs)
        self._store, self._cache = store, cache

    def input(self, name: str) -> Artifact:
        return Artifact.load(self._store, self.unit.inputs[name], self._cache)


def run(folder: Path, seeds: list[int]) -> dict[str, bytes]:
    """Every stage of a bandit, one after the other; the report's files."""
    store = MemoryStore()
    spec = {"name": "b", "kind": "bandit", "seeds": seeds, "bandit": QUICK}
    made = plan(resolve_any(spec, store, Settings()))
    refs: dict[str, CommitRef] = {}
    for key, stage in made.stages.items():
        ctx = cast(StageContext, Context(made, key, store, refs, folder))
        if stage.kind == "report":
            return cast(dict[str, bytes], report(ctx).files)
        done = bandit_stage(ctx)
        data = records.to_bytes(cast(Any, done.files[TABLE]))
        store.put(f"stages/{key}.parquet", data)
        file = FileRef(object=f"stages/{key}.parquet", sha256=sha256_hex(data), size=len(data))
        manifest = Manifest(
            key=key, kind="bandit", attempt="a", files={TABLE: file}, inputs={}, metrics=done.metrics, cost=Cost(),
            versions={"numpy": "2"}, host="here", started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:00:01+00:00",
        ).to_json()  # fmt: skip
        store.put(f"commits/{key}", manifest)
        refs[key] = CommitRef(key=key, object=f"commits/{key}", sha256=sha256_hex(manifest))
    raise AssertionError("there is no report")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return run(tmp_path_factory.mktemp("cache"), [0, 1, 2])


def test_a_bandit_survives_its_table() -> None:
    found = bandit(Arithmetic(**cast(Any, QUICK)))
    again = from_table(as_table(found), found.settings)
    assert again.headline == found.headline and again.gain_strong == found.gain_strong
    np.testing.assert_array_equal(again.weak_start.reward, found.weak_start.reward)


def test_the_report_has_every_reports_fields_and_decides_nothing(files: dict[str, bytes]) -> None:
    data = json.loads(files["report.json"])
    assert {"experiment", "partial", "arms", "contrasts", "verdict"} <= set(data)
    assert data["verdict"]["level"] == "inconclusive" and data["verdict"]["delta"] is None
    assert set(data["arms"]) == set(ARMS)
    points = {name: arm["evaluations"][EVALUATION]["estimate"] for name, arm in data["arms"].items()}
    assert points["start-weak"] < points["rlaif-weak"] < points["sft-strong"]
    headline = data["contrasts"]["headline"][EVALUATION]
    assert headline["interval"][1] < 0 and headline["n_seeds"] == 3
    assert "points below SFT" in data["verdict"]["sentence"]


def test_of_one_seed_no_error_is_claimed(tmp_path: Path) -> None:
    data = json.loads(run(tmp_path, [5])["report.json"])
    found = data["contrasts"]["headline"][EVALUATION]
    assert found["standard_error"] is None and found["interval"] == [None, None]
    assert mean_of([1.0, 3.0]).estimate == 2.0


def test_its_figure_is_in_the_page_for_a_screen_and_a_phone(files: dict[str, bytes]) -> None:
    assert set(figures(files["report.html"])) == {"bandit-wide", "bandit-narrow"}
    assert b"After figure 6" in files["report.html"]


def test_the_page_calls_it_a_mechanism(files: dict[str, bytes]) -> None:
    (block,) = results.blocks(json.loads(files["report.json"]), None)
    assert block.verdict.words.name == "A mechanism" and block.verdict.scope == ""
    assert block.verdict.primary is not None and block.verdict.primary.drawing is None
    assert block.arms[0].meaning.startswith("the weak student")
