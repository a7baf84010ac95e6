"""Prompts beyond a policy's context are counted for every arm, in the report's JSON and in its notes."""

from __future__ import annotations

from pathlib import Path

from services.analyst.as_json import as_dict
from services.analyst.build import build_report
from services.analyst.model import StageFacts
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from services.analyst.too_long import too_long
from tests.unit.analyst.fixture import experiment


def sampled(key: str, count: int, **metrics: str) -> StageFacts:
    return StageFacts(key, "sample", "host", "", "", metrics={"too_long": count, **metrics})


def test_of_several_samplings_of_a_split_the_most_counts_once() -> None:
    stages = {
        "a": sampled("a", 2, split="eval"),
        "b": sampled("b", 3, split="eval"),
        "c": sampled("c", 7, split="train"),
        "d": sampled("d", 0, split="dev"),
        "of another arm": sampled("e", 90, split="eval"),
    }
    assert too_long(["a", "b", "c", "d", "not there yet"], stages) == {"eval": 3, "train": 7}


def test_an_arm_without_any_has_no_such_key_and_no_note(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    report = build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()), False)
    assert not any("too_long" in arm for arm in as_dict(report)["arms"].values())
    assert not any("too long" in note.text for note in report.notes)


def test_arms_of_one_sampling_say_how_many_they_left_out(tmp_path: Path) -> None:
    made = experiment(tmp_path)
    arm = next(iter(made.params["arms"]))
    key = next(key for kind, key in made.params["stages"][arm] if kind == "sample")
    made.commit(key, {}, {"too_long": 4, "split": "eval"})
    report = build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()), False)
    assert as_dict(report)["arms"][arm]["too_long"] == {"eval": 4}
    assert any(f"4 eval prompts of {arm}" in note.text for note in report.notes)
