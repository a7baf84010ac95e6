"""Length-controlled evaluations in a report: figures of one fit beside the raw ones, and what is said of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.as_json import as_dict, to_json
from services.analyst.build import build_report, complete_scores
from services.analyst.lengths.study import LengthStudy
from services.analyst.matrix import build_matrix
from services.analyst.model import Note, Report
from services.analyst.params import cells_of
from services.analyst.preferences import win_rate
from services.analyst.reading import read_inputs
from services.api.pages.results import blocks
from tests.unit.analyst.fixture import experiment, offline
from tests.unit.analyst.lengths.world import (
    ALPACA,
    CONTROLLED,
    LEVELS,
    MINIMAL,
    WIN_RATE,
    controlled_spec,
    inputs_of,
    lengthy,
)

TWO = {"win-rate": WIN_RATE, "lc": CONTROLLED}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report(inputs_of(lengthy(tmp_path_factory.mktemp("cache"))))


@pytest.fixture(scope="module")
def made(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(report))
    return found


def notes(report: Report, word: str) -> list[Note]:
    return [note for note in report.notes if word in note.text]


def test_arms_and_contrasts_have_the_contracts_fields(made: dict[str, Any]) -> None:
    arm = made["arms"]["rlaif-weak"]["evaluations"]["lc@0.7"]
    assert {"estimate", "standard_error", "interval", "n"} <= set(arm)
    assert arm["interval"][0] < arm["estimate"] < arm["interval"][1] and arm["n"] == 296
    contrast = made["contrasts"]["headline"]["lc@0.7"]
    fields = {"estimate", "standard_error", "interval", "decision_interval", "p_value", "n_prompts", "n_seeds"}
    assert fields <= set(contrast) and contrast["exploratory"] is True
    assert contrast["interval"] == contrast["decision_interval"] and 0 < contrast["p_value"] <= 1
    assert set(made["contrasts"]) >= {"headline", "gain-weak", "vanishing"}
    assert all("lc@0.7" in of for of in made["contrasts"].values())


def test_control_takes_a_gain_by_length_alone_away(made: dict[str, Any]) -> None:
    raw, controlled = (made["contrasts"]["headline"][name] for name in ("win-rate@0.7", "lc@0.7"))
    assert raw["interval"][0] > 5, "it is longer, and the judge likes that"
    assert controlled["interval"][0] < 0 < controlled["interval"][1], "at equal length both are as good"
    assert raw["length_ratio"] == controlled["length_ratio"] == pytest.approx(np.exp(0.6), rel=0.1)


def test_raw_beside_controlled_is_the_raw_evaluation_s_own(made: dict[str, Any]) -> None:
    details = made["lengths"]["controlled"]["lc@0.7"]
    assert details["raw"] == "win-rate@0.7" and details["method"] == "joint"
    for name, arm in details["arms"].items():
        own = made["arms"][name]["evaluations"]
        assert arm["raw"]["estimate"] == pytest.approx(own["win-rate@0.7"]["estimate"])
        assert arm["controlled"]["estimate"] == own["lc@0.7"]["estimate"]
        assert arm["change"]["estimate"] == pytest.approx(arm["controlled"]["estimate"] - arm["raw"]["estimate"])
    contrast = details["contrasts"]["headline"]
    assert contrast["raw"]["estimate"] == pytest.approx(made["contrasts"]["headline"]["win-rate@0.7"]["estimate"])
    assert details["common_slope"] == pytest.approx(np.mean([arm["slope"] for arm in details["arms"].values()]))
    assert details["common_slope"] > 0 and details["scale"] > 0 and details["trusted"] is True


def test_one_note_says_of_both_that_their_judge_is_simulated(report: Report) -> None:
    (note,) = notes(report, "simulated world")
    assert note.text.startswith("win-rate and lc are judged in a simulated world (judge)")


def test_the_web_page_has_raw_beside_controlled_for_arms_and_differences(made: dict[str, Any]) -> None:
    (block,) = blocks(made, None)
    (table,) = block.lengths
    assert (table.name, table.raw) == ("lc@0.7", "win-rate@0.7") and "one fit over all arms" in table.how
    (arms, of_arms), (differences, of_contrasts) = table.parts
    assert (arms, differences) == ("Arm", "Difference")
    assert [row.name for row in of_arms] == list(made["arms"])
    headline = next(row for row in of_contrasts if row.name == "headline")
    told = made["contrasts"]["headline"]
    assert headline.raw[0] == f"{told['win-rate@0.7']['estimate']:.1f}"
    low, high = told["lc@0.7"]["interval"]
    assert headline.controlled[1] == f"{low:.1f} to {high:.1f}".replace("-", "−")
    assert headline.length.startswith("× 1.") and "leads to another conclusion" in headline.flags


def test_what_length_changes_is_flagged_and_named_in_a_note(report: Report, made: dict[str, Any]) -> None:
    assert "level" in made["lengths"]["controlled"]["lc@0.7"]["contrasts"]["headline"]["disagree"]
    (note,) = notes(report, "lead to different conclusions")
    assert note.path == ("evaluations", "lc") and "headline (raw " in note.text and "length × 1." in note.text
    assert not notes(report, "judges tend to prefer longer ones"), "the controlled figure stands beside it already"


def test_a_gain_that_goes_with_length_is_said_where_nothing_controls_it(tmp_path: Path) -> None:
    spec = controlled_spec(evaluations={"win-rate": WIN_RATE})
    (note,) = notes(build_report(inputs_of(lengthy(tmp_path, spec))), "judges tend to prefer longer ones")
    assert "rlaif-weak scores" in note.text and "length_controlled" in note.text
    shorter = lengthy(tmp_path, spec, longer={"rlaif-weak": -0.6})
    (note,) = notes(build_report(inputs_of(shorter)), "judges tend to prefer longer ones")
    assert "sft-strong scores" in note.text, "the one that is ahead is the longer one"
    even = lengthy(tmp_path, spec, levels={**LEVELS, "rlaif-weak": 1.5}, longer={})
    assert not notes(build_report(inputs_of(even)), "judges tend to prefer longer ones")


def test_every_contrast_of_completions_has_a_length_ratio_and_one_of_likelihoods_none(tmp_path: Path) -> None:
    found = as_dict(build_report(read_inputs(*offline_artifacts(tmp_path))))["contrasts"]["headline"]
    assert found["win-rate@0.7"]["length_ratio"] > 0
    assert found["nll"]["length_ratio"] is None and found["preference-accuracy"]["length_ratio"] is None


def offline_artifacts(folder: Path) -> tuple[Any, Any]:
    whole = experiment(folder, offline())
    return cells_of(whole.params)[""], whole.artifacts()


def test_lengths_are_told_by_arm_and_of_the_reference(made: dict[str, Any]) -> None:
    lengths = made["lengths"]
    assert lengths["unit"] == "characters" and lengths["shown"] == "win-rate@0.7"
    arm = lengths["arms"]["win-rate@0.7"]["rlaif-weak"]
    assert arm["n"] == 300 and arm["ratio_to_reference"] == pytest.approx(np.exp(0.6) * np.exp(0.08), rel=0.1)
    assert arm["quantiles"]["0.25"] < arm["quantiles"]["0.5"] < arm["quantiles"]["0.75"]
    assert lengths["reference"]["n"] == 300
    parts = lengths["by_difference"]["rlaif-weak"]
    assert sum(one["n"] for one in parts) == 296 and all(57 <= one["n"] <= 62 for one in parts)
    assert parts[0]["difference"] < parts[-1]["difference"] and parts[0]["score"] < parts[-1]["score"]


def test_seeds_and_looks_widen_what_decides(tmp_path: Path) -> None:
    spec = controlled_spec(seeds=[0, 1, 2], looks=4)
    found = as_dict(build_report(inputs_of(lengthy(tmp_path, spec))))["contrasts"]["headline"]["lc@0.7"]
    assert found["n_seeds"] == 3
    low, high = found["interval"]
    wide = found["decision_interval"]
    assert wide[0] < low and high < wide[1]


def test_both_methods_stand_side_by_side_and_alpaca_evals_has_no_common_slope(tmp_path: Path) -> None:
    spec = controlled_spec(evaluations={**TWO, "minimal": MINIMAL})
    controlled = as_dict(build_report(inputs_of(lengthy(tmp_path, spec))))["lengths"]["controlled"]
    assert set(controlled) == {"lc@0.7", "minimal@0.7"}
    assert controlled["minimal@0.7"]["common_slope"] is None and controlled["minimal@0.7"]["sigma"] is None
    joint, minimal = (one["arms"]["rlaif-weak"]["controlled"]["estimate"] for one in controlled.values())
    assert joint == pytest.approx(minimal, abs=8) and joint != minimal


def test_a_fit_that_is_not_to_be_trusted_says_so(tmp_path: Path) -> None:
    always = lengthy(tmp_path, levels={**LEVELS, "rlaif-weak": 40.0})
    found = build_report(inputs_of(always))
    details = as_dict(found)["lengths"]["controlled"]["lc@0.7"]
    assert details["trusted"] is False and details["arms"]["rlaif-weak"]["trusted"] is False
    assert details["arms"]["sft-weak"]["trusted"] is True
    trusted = {name: one["trusted"] for name, one in details["contrasts"].items()}
    assert trusted["headline"] is False and trusted["teacher"] is True
    (note,) = notes(found, "not all to be trusted")
    assert "rlaif-weak won every time" in note.text and note.path == ("evaluations", "lc")


def test_a_partial_report_fits_the_arms_that_are_there(tmp_path: Path) -> None:
    whole = lengthy(tmp_path)
    report = whole.plan.stages[whole.plan.report]
    missing = next(row["input"] for row in report.params["scores"] if row["arm"] == "rlaif-weak")
    found = build_report(inputs_of(whole, (report.inputs[missing],)), partial=True)
    data = as_dict(found)
    assert "lc@0.7" not in data["contrasts"]["headline"] and "lc@0.7" in data["contrasts"]["teacher"]
    assert "rlaif-weak" not in data["lengths"]["controlled"]["lc@0.7"]["arms"]
    assert as_dict(build_report(inputs_of(whole, tuple(whole.refs)), partial=True))["lengths"] is None


def test_an_arm_without_two_valid_judgements_is_left_out_and_the_others_are_not(tmp_path: Path) -> None:
    whole = lengthy(tmp_path)
    report = whole.plan.stages[whole.plan.report]
    key = next(report.inputs[row["input"]] for row in report.params["scores"] if row["arm"] == "rlaif-weak")
    rows = whole.artifacts()[f"stage/{key}"].rows().to_pylist()
    from shared import records

    none = records.from_rows([{**row, "score": None, "valid": False} for row in rows], records.JUDGEMENTS)
    whole.commit(key, {"judgements.parquet": none}, {})
    found = build_report(inputs_of(whole))
    assert "lc@0.7" not in as_dict(found)["arms"]["rlaif-weak"]["evaluations"]
    assert "lc@0.7" in as_dict(found)["arms"]["sft-weak"]["evaluations"]
    assert notes(found, "headline under lc@0.7 cannot be estimated")


def test_cells_of_a_matrix_have_a_fit_each(tmp_path: Path) -> None:
    spec = controlled_spec(matrix={"fractions": [0.1, 0.3]})
    whole = lengthy(tmp_path, spec)
    artifacts = whole.artifacts()
    inputs = {name: read_inputs(cell, artifacts) for name, cell in cells_of(whole.params).items()}
    data = json.loads(to_json(build_matrix(inputs)))
    for cell in data["cells"].values():
        assert set(cell["lengths"]["controlled"]["lc@0.7"]["arms"]) == set(cell["arms"])
        assert cell["contrasts"]["headline"]["lc@0.7"]["length_ratio"] > 1


def test_a_study_that_is_known_is_not_made_again(tmp_path: Path) -> None:
    inputs = inputs_of(lengthy(tmp_path))
    study = LengthStudy.of(inputs, complete_scores(inputs))
    given = build_report(inputs, study=study)
    assert given.lengths is not None and given.lengths.controlled["lc@0.7"].fit is study.fits["lc@0.7"]
    assert to_json(given) == to_json(build_report(inputs))


def test_an_alpaca_eval_arm_has_alpaca_evals_own_figures_by_seed(tmp_path: Path) -> None:
    spec = controlled_spec(seeds=[0, 1], evaluations={"alpaca": ALPACA}, primary={"evaluation": "alpaca@0.7"})
    inputs = inputs_of(lengthy(tmp_path, spec))
    found = as_dict(build_report(inputs))["arms"]["sft-weak"]["evaluations"]["alpaca@0.7"]
    scores = inputs.scores["sft-weak", "alpaca@0.7"][1]
    assert set(found["alpaca_eval"]) == {"0", "1"}
    assert found["alpaca_eval"]["1"] == vars(win_rate(1 + scores.scores / 100))
    assert found["alpaca_eval"]["0"]["n_total"] == 296
    assert found["estimate"] == pytest.approx(np.mean([one["win_rate"] for one in found["alpaca_eval"].values()]))


def test_who_is_judged_beside_the_recipes_is_in_the_fit_and_null_completions_are_not(tmp_path: Path) -> None:
    spec = controlled_spec(also_judge=["base", "teachers"], null_completions=True)
    data = as_dict(build_report(inputs_of(lengthy(tmp_path, spec))))
    fits = data["lengths"]["controlled"]
    assert data["nulls"] and all(set(of) == {"win-rate@0.7"} for of in data["nulls"].values())
    assert {"base", "teacher:weak-teacher", "teacher:strong-teacher", "rlaif-weak", "start-weak"} <= set(
        fits["lc@0.7"]["arms"]
    )
    assert not [arm for arm in fits["lc@0.7"]["arms"] if arm.startswith("null:")]


def test_the_temperatures_that_arms_do_best_at_are_controlled_beside_the_raw_ones(tmp_path: Path) -> None:
    best = {"temperature": [1.0, 0.7], "best_on_dev": True}
    spec = controlled_spec(evaluations={"win-rate": {**WIN_RATE, **best}, "lc": {**CONTROLLED, **best}})
    made = lengthy(tmp_path, spec)
    controlled = as_dict(build_report(inputs_of(made)))["lengths"]["controlled"]
    assert {name: one["raw"] for name, one in controlled.items()} == {
        "lc@1.0": "win-rate@1.0",
        "lc@0.7": "win-rate@0.7",
        "lc@best_on_dev": "win-rate@best_on_dev",
    }


def test_arms_that_are_judged_against_each_other_have_a_length_ratio_too(tmp_path: Path) -> None:
    duel = {"protocol": "pairwise", "judge": "judge", "between": ["rlaif-weak", "sft-strong"], "temperature": 0.7}
    arena = {"protocol": "arena", "judge": "judge", "temperature": 0.7}
    spec = controlled_spec(evaluations={**TWO, "duel": duel, "arena": arena})
    data = as_dict(build_report(inputs_of(lengthy(tmp_path, spec))))
    headline = data["contrasts"]["headline"]
    assert headline["arena@0.7"]["length_ratio"] == headline["win-rate@0.7"]["length_ratio"]
    strong = data["lengths"]["arms"]["win-rate@0.7"]["sft-strong"]
    # In this world's duel, the one that sft-strong is judged against wrote what the reference did.
    assert headline["duel@0.7"]["length_ratio"] == pytest.approx(1 / strong["ratio_to_reference"], rel=0.1)
    assert data["lengths"]["arms"]["duel@0.7"]["rlaif-weak"]["ratio_to_reference"] is None
