"""The report's content, from a planned experiment with made-up judgements."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.as_json import as_dict, finite, to_json
from services.analyst.build import build_report
from services.analyst.model import Report, ReportInputs
from services.analyst.params import EvaluationParams, ReportParams, ScoreInput
from services.analyst.reading import read_inputs
from services.analyst.scores import SeedScores
from tests.unit.analyst.fixture import experiment, offline, quickstart


def inputs_of(folder: Path, spec: dict[str, Any] | None = None, **options: Any) -> ReportInputs:
    made = experiment(folder, spec, **options)
    return read_inputs(ReportParams.model_validate(made.params), made.artifacts())


def with_params(inputs: ReportInputs, **changes: Any) -> ReportInputs:
    return replace(inputs, params=inputs.params.model_copy(update=changes))


def scored(inputs: ReportInputs, arm: str, add: float, evaluation: str = "win-rate@0.7") -> ReportInputs:
    """The same inputs with points added to one arm."""
    tables = {
        seed: SeedScores(one.prompt_ids, one.scores + add, one.valid)
        for seed, one in inputs.scores[arm, evaluation].items()
    }
    return replace(inputs, scores={**inputs.scores, (arm, evaluation): tables})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    return inputs_of(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def report(whole: ReportInputs) -> Report:
    return build_report(whole)


def test_the_json_has_the_contracts_fields(report: Report) -> None:
    made = json.loads(to_json(report))
    assert made["schema"] == "touchstone/report/1"
    assert made["experiment"]["name"] == "quickstart" and made["partial"] is False
    estimate = made["arms"]["rlaif-weak"]["evaluations"]["win-rate@0.0"]
    assert {"estimate", "standard_error", "interval", "n"} <= set(estimate)
    assert estimate["interval"][0] < estimate["estimate"] < estimate["interval"][1]
    assert {"usd", "device_hours"} <= set(made["arms"]["rlaif-weak"]["cost"])
    headline = made["contrasts"]["headline"]["win-rate@0.7"]
    fields = {"estimate", "standard_error", "interval", "decision_interval", "p_value", "n_prompts", "n_seeds"}
    assert fields <= set(headline)
    assert {"level", "scope", "primary", "delta", "reasons", "sentence"} <= set(made["verdict"])
    assert made["verdict"]["primary"] == {"contrast": "headline", "evaluation": "win-rate@0.7"}
    assert "cells" not in made


def test_every_arm_start_and_contrast_of_the_preset_is_there(report: Report) -> None:
    made = as_dict(report)
    starts = {"start-weak", "start-strong"}
    assert set(made["arms"]) == {"sft-weak", "sft-strong", "rlaif-weak", "rlaif-strong"} | starts
    assert {"headline", "added", "net-weak", "gain-weak", "gain-strong", "vanishing", "teacher"} == set(
        made["contrasts"]
    )
    assert all(set(found) == {"win-rate@1.0", "win-rate@0.7", "win-rate@0.0"} for found in made["contrasts"].values())


def test_only_the_primary_is_not_exploratory(report: Report) -> None:
    made = as_dict(report)["contrasts"]
    chosen = [(c, e) for c, found in made.items() for e, one in found.items() if not one["exploratory"]]
    assert chosen == [("headline", "win-rate@0.7")]


def test_arms_and_contrasts_agree_with_the_scores_themselves(whole: ReportInputs, report: Report) -> None:
    a, b = (whole.scores[arm, "win-rate@0.7"][0] for arm in ("rlaif-weak", "sft-strong"))
    both = a.valid & b.valid
    difference = a.scores[both] - b.scores[both]
    made = as_dict(report)
    found = made["contrasts"]["headline"]["win-rate@0.7"]
    assert found["estimate"] == pytest.approx(difference.mean())
    assert found["standard_error"] == pytest.approx(difference.std(ddof=1) / both.sum() ** 0.5)
    arm = made["arms"]["rlaif-weak"]["evaluations"]["win-rate@0.7"]
    assert arm["estimate"] == pytest.approx(a.scores[a.valid].mean()) and arm["n"] == a.valid.sum()
    assert arm["dropped"] == (~a.valid).sum() > 0


def test_three_seeds_make_it_about_the_recipe(tmp_path: Path) -> None:
    made = as_dict(build_report(inputs_of(tmp_path, quickstart(seeds=[0, 1, 2]))))
    assert made["verdict"]["scope"] == "recipe"
    assert made["contrasts"]["headline"]["win-rate@0.7"]["n_seeds"] == 3
    assert not made["verdict"]["sentence"].startswith("For these trained models")


def test_a_missing_score_is_an_error_in_a_whole_report(whole: ReportInputs) -> None:
    scores = {key: value for key, value in whole.scores.items() if key != ("sft-weak", "win-rate@1.0")}
    with pytest.raises(ValueError, match=r"no judgements of sft-weak under win-rate@1\.0"):
        build_report(replace(whole, scores=scores))


def test_a_partial_report_shows_what_is_there_and_draws_no_verdict(whole: ReportInputs) -> None:
    scores = {key: value for key, value in whole.scores.items() if key[0] != "rlaif-strong"}
    made = build_report(replace(whole, scores=scores), partial=True)
    data = as_dict(made)
    assert data["partial"] is True and data["verdict"]["level"] == "pending"
    assert data["scores"] == {"there": 15, "total": 18}
    assert "win-rate@0.7" in data["contrasts"]["headline"]
    assert data["contrasts"]["added"] == {} and data["arms"]["rlaif-strong"]["evaluations"] == {}
    pending = next(one for one in made.contrasts if one.contrast.name == "added")
    assert pending.pending == ("win-rate@1.0", "win-rate@0.7", "win-rate@0.0")


def test_a_partial_report_waits_for_every_seed_of_an_arm(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, quickstart(seeds=[0, 1, 2]))
    scores = {key: {seed: one for seed, one in found.items() if seed != 2} for key, found in inputs.scores.items()}
    data = as_dict(build_report(replace(inputs, scores=scores), partial=True))
    assert all(not arm["evaluations"] for arm in data["arms"].values())


def test_nothing_at_all_is_a_partial_report_too(whole: ReportInputs) -> None:
    empty = build_report(ReportInputs(whole.params, {}), partial=True)
    assert empty.verdict.level == "pending" and json.loads(to_json(empty))["scores"]["there"] == 0


def test_json_has_no_nan_even_where_a_number_does_not_exist(report: Report) -> None:
    broken = replace(report.arms[0].evaluations["win-rate@0.7"], estimate=float("nan"), interval=(float("-inf"), 1.0))
    arms = (replace(report.arms[0], evaluations={"win-rate@0.7": broken}), *report.arms[1:])
    text = to_json(replace(report, arms=arms)).decode()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["arms"]["sft-weak"]["evaluations"]["win-rate@0.7"]["interval"] == [None, 1.0]


def test_finite_reaches_into_whatever_holds_numbers() -> None:
    assert finite({"a": [1.0, float("inf"), (float("nan"), "x")]}) == {"a": [1.0, None, [None, "x"]]}


def test_an_offline_judge_makes_the_verdict_invalid_and_names_the_line_to_change(tmp_path: Path) -> None:
    made = build_report(inputs_of(tmp_path, offline()))
    assert made.verdict.level == "invalid"
    assert "the judge similarity measures likeness" in made.verdict.sentence
    paths = {".".join(note.path) for note in made.notes if note.kind == "stand-in"}
    assert {"evaluations.win-rate.judge", "arms.rlaif-weak-on-policy.rl.critic", "evaluations.nll.protocol"} <= paths
    assert "arms.rlaif-weak.rl.critic" not in paths, "recorded labels of GPT-4 are no stand-in"


def test_likelihoods_are_in_their_own_unit_and_have_no_log_odds(tmp_path: Path) -> None:
    data = as_dict(build_report(inputs_of(tmp_path, offline())))
    assert data["arms"]["sft-weak"]["evaluations"]["nll"]["estimate"] < 0
    assert data["contrasts"]["vanishing"]["nll"]["log_odds"] is None
    assert data["contrasts"]["vanishing"]["win-rate@0.7"]["log_odds"] is not None


def test_costs_are_of_each_arm_alone_and_shared_stages_once_in_the_total(tmp_path: Path) -> None:
    made = experiment(tmp_path, usd=0.25)
    report = build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()))
    arms = {arm.name: arm.cost for arm in report.arms}
    assert arms["sft-weak"].usd == pytest.approx(3 * 0.25), "three temperatures are judged"
    assert arms["rlaif-weak"].usd == pytest.approx(4 * 0.25), "and the pairs of its RL are labelled"
    assert report.total.usd == pytest.approx((6 * 3 + 2) * 0.25)
    assert report.total.device_hours < sum(cost.device_hours for cost in arms.values())


def test_delta_from_money_is_the_difference_in_cost_over_the_price_of_a_point(tmp_path: Path) -> None:
    spec = quickstart(worth={"usd_per_point": 0.5})
    report = build_report(inputs_of(tmp_path, spec, usd=0.25))
    assert report.verdict.delta == pytest.approx(0.25 / 0.5)


def test_a_stage_that_is_not_committed_is_missing_from_the_cost_and_said(whole: ReportInputs) -> None:
    report = build_report(replace(whole, stages={}), partial=True)
    assert report.total.missing == report.total.stages > 0


def test_null_completions_that_outscore_an_arm_make_it_invalid(whole: ReportInputs) -> None:
    rows = [*whole.params.scores, ScoreInput(arm="empty", seed=0, evaluation="win-rate@0.7", input="judge/empty")]
    base = whole.scores["sft-strong", "win-rate@0.7"][0]
    for add, level in ((30.0, "invalid"), (-60.0, "sft_suffices")):
        null = {0: SeedScores(base.prompt_ids, base.scores + add, base.valid)}
        inputs = replace(whole, scores={**whole.scores, ("empty", "win-rate@0.7"): null})
        made = build_report(with_params(inputs, scores=rows, null_completions=["empty"]))
        assert made.verdict.level == level
        assert not any("No null completions" in note.text for note in made.notes)


def test_a_second_judge_of_the_opposite_opinion_makes_it_inconclusive(whole: ReportInputs) -> None:
    other = "other@0.7"
    evaluations = {
        **whole.params.evaluations,
        other: EvaluationParams(protocol="pairwise", judge="another", reference="reference", temperature=0.7),
    }
    rows = whole.params.scores + [
        row.model_copy(update={"evaluation": other}) for row in whole.params.scores if row.evaluation == "win-rate@0.7"
    ]
    same = {(arm, other): found for (arm, name), found in whole.scores.items() if name == "win-rate@0.7"}
    inputs = with_params(
        replace(whole, scores={**whole.scores, **same}), evaluations=evaluations, scores=rows, second_judges=[other]
    )
    assert build_report(inputs).verdict.level == "sft_suffices", "it agrees"
    assert build_report(scored(inputs, "rlaif-weak", 60.0, other)).verdict.level == "inconclusive"


def test_evaluation_prompts_in_training_make_it_invalid(whole: ReportInputs) -> None:
    checks = whole.params.checks.model_copy(update={"eval_in_training": True})
    assert build_report(with_params(whole, checks=checks)).verdict.level == "invalid"


def test_a_judge_that_never_gives_a_verdict_leaves_nothing_to_conclude(whole: ReportInputs) -> None:
    scores = dict(whole.scores)
    for arm in ("rlaif-weak", "sft-strong"):
        one = scores[arm, "win-rate@0.7"][0]
        nothing = SeedScores(one.prompt_ids, np.full_like(one.scores, np.nan), np.zeros_like(one.valid))
        scores[arm, "win-rate@0.7"] = {0: nothing}
    made = build_report(replace(whole, scores=scores))
    assert made.verdict.level == "inconclusive" and "fewer than two prompts" in made.verdict.reasons[0]


@pytest.mark.parametrize("name", ["nothing", "vanishing"])
def test_the_primary_must_be_a_difference_of_two_arms(whole: ReportInputs, name: str) -> None:
    primary = whole.params.primary.model_copy(update={"contrast": name})
    with pytest.raises(ValueError, match=f"primary.contrast: '{name}' is not one of the differences of two arms"):
        build_report(with_params(whole, primary=primary))


def test_what_was_not_judged_and_what_was_dropped_is_said(report: Report) -> None:
    notes = " ".join(note.text for note in report.notes)
    for said in (
        "No null completions",
        "No judge of another family",
        "15 prompts are near-duplicates",
        "4 of every arm's prompts",
    ):
        assert said in notes
    assert "simulated world" in notes


def test_equal_inputs_give_equal_bytes(whole: ReportInputs) -> None:
    assert to_json(build_report(whole)) == to_json(build_report(whole))
