"""The report of an experiment that judges untrained policies, teachers and null completions beside its arms."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.as_json import to_json
from services.analyst.build import build_report, complete_scores
from services.analyst.model import Report, ReportInputs
from services.analyst.nulls import null_results
from services.analyst.page import to_html
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from services.analyst.scores import SeedScores
from tests.unit.analyst.fixture import experiment, quickstart

SECOND = {"provider": "simulated", "error_rate": 0.2, "seed": 9}


def spec(**changes: Any) -> dict[str, Any]:
    """The quickstart with everybody judged, on few prompts at two temperatures."""
    data = quickstart(also_judge=["base", "teachers"], null_completions=True)
    data["prompts"] |= {"eval": 120, "dev": 60}
    data["evaluations"]["win-rate"]["temperature"] = [0.7, 0.0]
    data["evaluations"]["nll"] = {"protocol": "nll", "completions": "strong-teacher"}
    return data | changes


def inputs_of(folder: Path, data: dict[str, Any]) -> ReportInputs:
    made = experiment(folder, data)
    return read_inputs(ReportParams.model_validate(made.params), made.artifacts())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    return inputs_of(tmp_path_factory.mktemp("cache"), spec())


@pytest.fixture(scope="module")
def report(inputs: ReportInputs) -> Report:
    return build_report(inputs)


@pytest.fixture(scope="module")
def made(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(report))
    return found


def shifted(inputs: ReportInputs, null: str, by: float) -> ReportInputs:
    """The same with points added to a null completion, everywhere."""
    scores = {
        (arm, evaluation): of
        if arm != null
        else {seed: SeedScores(one.prompt_ids, one.scores + by, one.valid) for seed, one in of.items()}
        for (arm, evaluation), of in inputs.scores.items()
    }
    return replace(inputs, scores=scores)


def test_they_have_scores_costs_and_a_role(made: dict[str, Any]) -> None:
    assert {made["arms"][name]["role"] for name in ("base", "teacher:weak-teacher")} == {"base", "teacher"}
    assert made["arms"]["base"]["evaluations"]["win-rate@0.7"]["n"] > 100
    assert made["arms"]["base"]["cost"]["stages"] > 0


def test_they_are_in_no_contrast_and_not_on_the_frontier(report: Report) -> None:
    beside = {"base", "teacher:weak-teacher", "teacher:strong-teacher"}
    assert not beside & {arm for one in report.contrasts for arm in one.contrast.arms}
    assert report.frontier is not None and not beside & {point.arm for point in report.frontier.points}


def test_a_teacher_scores_the_same_at_every_temperature_and_has_no_likelihood(made: dict[str, Any]) -> None:
    found = made["arms"]["teacher:strong-teacher"]
    assert found["evaluations"]["win-rate@0.7"] == found["evaluations"]["win-rate@0.0"]
    assert found["unjudged"] == ["nll"] and "nll" not in found["evaluations"]


def test_the_page_sets_them_apart(report: Report) -> None:
    html = to_html(report).decode()
    recipes, beside, nulls = (
        html.index(words) for words in ("sft-weak</th>", "Beside the recipes", "Answers that say nothing")
    )
    assert recipes < html.index(">base<") and beside < html.index(">base<") < nulls < html.index(">null:sorry<")
    assert "toy before any training" in html and "null completions</th>" in html


def test_null_completions_have_scores_and_no_arm(made: dict[str, Any]) -> None:
    assert set(made["nulls"]) == {"null:sorry", "null:generic", "null:praise", "null:verdict"}
    found = made["nulls"]["null:sorry"]["win-rate@0.7"]
    assert found["prompts"] <= 50 and found["estimate"] < 30
    assert not any(name.startswith("null:") for name in made["arms"])


def test_a_length_controlled_evaluation_says_nothing_of_them(inputs: ReportInputs) -> None:
    controlled = inputs.params.evaluations["win-rate@0.7"].model_copy(update={"length_controlled": "joint"})
    evaluations = {**inputs.params.evaluations, "win-rate@0.7": controlled}
    params = inputs.params.model_copy(update={"evaluations": evaluations})
    assert set(null_results(params, complete_scores(inputs))["null:sorry"]) == {"win-rate@0.0"}


def test_a_null_completion_that_outscores_an_arm_is_named_first(inputs: ReportInputs) -> None:
    beaten = build_report(shifted(inputs, "null:generic", 95.0))
    assert beaten.verdict.level == "invalid"
    assert beaten.verdict.reasons[0].startswith("null completions (null:generic) score")
    assert "sft-strong" in beaten.nulls["null:generic"]["win-rate@0.7"].beats
    assert "the judge does not read the answers" in to_html(beaten).decode()


def test_a_null_completion_is_compared_on_the_prompts_that_it_was_judged_on(inputs: ReportInputs) -> None:
    """An arm that is bad on all other prompts is not beaten."""
    arm = inputs.scores["sft-strong", "win-rate@0.7"]
    few = {str(one) for one in inputs.scores["null:sorry", "win-rate@0.7"][0].prompt_ids}
    kept = {
        seed: SeedScores(
            one.prompt_ids, np.where([str(name) in few for name in one.prompt_ids], 60.0, 0.0), one.valid
        )
        for seed, one in arm.items()
    }  # fmt: skip
    found = build_report(replace(inputs, scores={**inputs.scores, ("sft-strong", "win-rate@0.7"): kept}))
    assert "sft-strong" not in found.nulls["null:sorry"]["win-rate@0.7"].beats


def test_where_nobody_judged_null_completions_that_is_said(tmp_path: Path) -> None:
    off = build_report(inputs_of(tmp_path, spec(null_completions=False, also_judge=[])))
    assert any(note.text.startswith("No null completions") for note in off.notes)
    assert off.nulls == {} and b"Answers that say nothing" not in to_html(off)


def test_a_judge_of_one_family_is_said_beside_the_verdict(report: Report, made: dict[str, Any]) -> None:
    assert made["verdict"]["another_family"] is False and len(made["verdict"]["judges"]) == 1
    html = to_html(report).decode()
    assert html.index("One judge was asked") < html.index('id="arms"')


def test_each_judges_level_stands_side_by_side(tmp_path: Path) -> None:
    data = spec(null_completions=False, also_judge=[])
    data["models"]["second"] = SECOND
    data["evaluations"]["win-rate-2"] = {**data["evaluations"]["win-rate"], "judge": "second"}
    report = build_report(inputs_of(tmp_path, data))
    said = json.loads(to_json(report))["verdict"]
    assert [(one["judge"], one["decides"]) for one in said["judges"]] == [("judge", True), ("second", False)]
    assert said["another_family"] is True and said["family_note"] is None
    assert not any("another family" in note.text for note in report.notes)
    assert "family: simulated error_rate=0.2 seed=9" in to_html(report).decode().replace("&amp;", " ").replace("&", " ")


def test_a_contrast_that_an_evaluation_cannot_judge_is_left_out_of_it(tmp_path: Path) -> None:
    data = spec(contrasts={"headline": ["sft-strong", "teacher:strong-teacher"]})
    (found,) = build_report(inputs_of(tmp_path, data)).contrasts
    assert set(found.results) == {"win-rate@0.7", "win-rate@0.0"} and not found.pending and not found.absent
