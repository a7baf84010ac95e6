"""The report stage and partial reports, over a store in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from services.analyst.tasks import by_name, make, partial_report, report
from shared import records
from shared.artifacts import Artifact
from shared.context import StageContext
from shared.errors import PermanentError
from shared.experiments import partial_report_name
from shared.power import Components
from shared.settings import Settings
from shared.units import Unit
from tests.unit.analyst.fixture import Experiment, experiment, quickstart


class Context:
    """What the handler uses of a stage's context."""

    def __init__(self, made: Experiment) -> None:
        stage = made.plan.stages[made.plan.report]
        refs = {name: made.refs[key] for name, key in stage.inputs.items()}
        self.unit = Unit(key=stage.key, kind="report", params=stage.params, inputs=refs)
        self._made = made

    def input(self, name: str) -> Artifact:
        return Artifact.load(self._made.store, self.unit.inputs[name], self._made.cache)


def test_an_artifact_with_several_names_is_loaded_once(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    refs = Context(made).unit.inputs
    asked: list[str] = []

    def load(name: str) -> Artifact:
        asked.append(name)
        return Artifact.load(made.store, refs[name], made.cache)

    assert set(by_name(refs, load)) == set(refs)
    assert len(asked) == len({ref.key for ref in refs.values()}) < len(refs)


def run(made: Experiment) -> dict[str, bytes]:
    files = report(cast(StageContext, Context(made))).files
    return cast(dict[str, bytes], files)


def test_the_stage_writes_both_files(tmp_path: Path) -> None:
    files = run(experiment(tmp_path))
    assert set(files) == {"report.json", "report.html"}
    data = json.loads(files["report.json"])
    assert data["partial"] is False and data["verdict"]["level"] != "pending"
    assert data["verdict"]["sentence"].encode() in files["report.html"].replace(b'<span class="nb">', b"").replace(
        b"</span>", b""
    )


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    assert run(experiment(tmp_path / "a")) == run(experiment(tmp_path / "b"))


def test_judgements_that_are_not_well_formed_fail_the_stage_at_once(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    artifacts = made.artifacts()

    class Broken(Artifact):
        def table(self, file: str) -> Any:
            rows = [{"prompt_id": "p", "score": 50.0, "valid": True}] * 2
            return records.from_rows(rows, records.JUDGEMENTS)

    name = next(name for name in artifacts if name.startswith("judge/"))
    artifacts[name] = Broken(made.store, artifacts[name].manifest, made.cache)
    with pytest.raises(PermanentError, match="prompt 'p' is judged more than once"):
        make(made.params, artifacts, partial=False)


def test_params_that_are_not_a_reports_fail_the_stage_at_once(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="primary"):
        make({"spec": {}}, {}, partial=False)


def test_a_partial_report_goes_where_the_api_looks_for_it(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    refs = Context(made).unit.inputs
    half = {name: ref for place, (name, ref) in enumerate(refs.items()) if place % 2}
    partial_report(made.store, Settings(data_dir=tmp_path), "experiment-1", made.params, half)
    data = json.loads(made.store.get(partial_report_name("experiment-1", "report.json")))
    assert data["partial"] is True and 0 < data["scores"]["there"] < data["scores"]["total"]
    assert b"Partial:" in made.store.get(partial_report_name("experiment-1", "report.html"))


def test_a_training_that_two_arms_share_is_drawn_once(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    shared_keys = {row["input"] for row in made.params["training"] if row["step"] == "sft"}
    assert len(shared_keys) == 6
    html = run(made)["report.html"].decode()
    assert "SFT: loss by training step, for sft-weak, sft-strong, start-weak, start-strong." in html
    assert "RL: loss by training step, for rlaif-weak, rlaif-strong." in html


def test_the_stages_metrics_have_the_primarys_variances(tmp_path: Path) -> None:
    result = report(cast(StageContext, Context(experiment(tmp_path, quickstart(seeds=[0, 1, 2])))))
    measured = dict(result.metrics["primary"])
    prompts, seeds = measured.pop("prompts"), measured.pop("seeds")
    primary = json.loads(cast(bytes, result.files["report.json"]))["contrasts"]["headline"]["win-rate@0.7"]
    low, high = primary["decision_interval"]
    assert (prompts, seeds) == (primary["n_prompts"], 3)
    assert Components(**measured).half_width(prompts, seeds) == pytest.approx((high - low) / 2, rel=1e-4)
