"""What both sides of a contrast were made with, from what their stages counted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from services.analyst.as_json import to_json
from services.analyst.build import build_report
from services.analyst.match import QUANTITIES, sampling_flops, training_flops, used
from services.analyst.match_page import match_rows, match_titles
from services.analyst.model import ReportInputs, StageFacts
from services.analyst.page import to_html
from services.analyst.params import ControlParams, RecipeParams
from tests.unit.analyst.fixture import quickstart
from tests.unit.analyst.test_build import inputs_of


def facts(kind: str, usd: float = 0.0, seconds: float = 0.0, **metrics: Any) -> StageFacts:
    return StageFacts(kind, kind, "host", "", "", usd=usd, device_seconds=seconds, metrics=metrics)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    return inputs_of(tmp_path_factory.mktemp("cache"), quickstart(seeds=[0, 1, 2]), usd=0.5)


def test_training_is_six_n_t_and_dpo_adds_its_references_pass() -> None:
    assert training_flops(facts("sft", tokens=100, epochs=2.0), 7) == 6 * 7 * 100
    assert training_flops(facts("rl", tokens=100, epochs=4.0), 7) == 6 * 7 * 100 + 2 * 7 * 25
    assert training_flops(facts("reference", tokens=25), 7) == 2 * 7 * 25
    assert sampling_flops(facts("sample", input_tokens=30, output_tokens=20), 7) == 2 * 7 * 50


def test_a_method_says_how_many_other_forward_passes_it_makes() -> None:
    kto, orpo = {"once": 2.0, "every_epoch": 1.0}, {"once": 0.0, "every_epoch": 0.0}
    assert training_flops(facts("rl", tokens=100, epochs=4.0, forward_passes=kto), 7) == 8 * 7 * 100 + 2 * 2 * 7 * 25
    assert training_flops(facts("rl", tokens=100, epochs=4.0, forward_passes=orpo), 7) == 6 * 7 * 100


def test_a_distillation_s_teacher_is_counted_by_its_own_size() -> None:
    recipe = RecipeParams(prompts=10, stages=[["teacher", "rl"]])
    sampled = {"once": 0.0, "every_epoch": 3.0}
    stages = {
        "teacher": facts("sft", tokens=10, epochs=1.0, parameters=20, steps=1),
        "rl": facts("rl", tokens=100, epochs=1.0, parameters=10, steps=2, pairs=0, forward_passes=sampled),
    }
    found = used(recipe, stages)
    assert found is not None and found.training_flops == 6 * 20 * 10 + (6 + 2 * 3) * 10 * 100
    assert (found.pairs, found.steps, found.tokens) == (0, 3, 110)


def test_a_reward_model_s_training_is_part_of_its_arm_s() -> None:
    recipe = RecipeParams(prompts=10, stages=[["model", "rl"]])
    stages = {
        "model": facts("reward_model", tokens=10, epochs=1.0, parameters=10, steps=3, pairs=7),
        "rl": facts("rl", tokens=100, epochs=1.0, parameters=10, steps=2, pairs=0),
    }
    found = used(recipe, stages)
    assert found is not None and (found.pairs, found.steps, found.tokens) == (7, 5, 110)


def test_ktos_completions_are_counted_as_pairs() -> None:
    recipe = RecipeParams(prompts=10, stages=[["sft", "rl"]])
    found = used(recipe, {"sft": facts("sft", examples=5), "rl": facts("rl", examples=40, pairs=20)})
    assert found is not None and found.pairs == 20


def test_a_control_says_what_its_recipe_holds_equal(whole: ReportInputs) -> None:
    """Here the strong RL arm is taken for a control of the weak one."""
    control = ControlParams(kind="random_labels", of="rlaif-weak", equal="start and pairs", differs="a coin")
    arms = dict(whole.params.arms)
    arms["rlaif-strong"] = arms["rlaif-strong"].model_copy(update={"control": control})
    contrasts = {**whole.params.contrasts, "random-labels": ["rlaif-weak", "rlaif-strong"]}
    params = whole.params.model_copy(update={"arms": arms, "contrasts": contrasts})
    report = build_report(replace(whole, params=params))
    said = {row.name: row.said for row in match_rows(report)}
    assert said["random-labels"] == "By recipe the same: start and pairs. Otherwise: a coin."
    assert not any(words for name, words in said.items() if name != "random-labels")
    assert said["random-labels"] in to_html(report).decode()
    found = json.loads(to_json(report))["arms"]
    assert found["rlaif-strong"]["control"]["of"] == "rlaif-weak" and found["rlaif-weak"]["control"] is None


def test_the_headline_shows_both_recipes(whole: ReportInputs) -> None:
    made = json.loads(to_json(build_report(whole)))["matches"]["headline"]
    assert set(made) == set(QUANTITIES)
    rlaif, sft = ({name: pair[side] for name, pair in made.items()} for side in (0, 1))
    assert (rlaif["prompts"], sft["prompts"]) == (1500, 1500)
    assert (rlaif["demonstrations"], sft["demonstrations"]) == (1000, 1000)
    assert (rlaif["labels"], sft["labels"]) == (1275, 0)
    assert (rlaif["pairs"], sft["pairs"]) == (900, 0)
    assert (rlaif["steps"], sft["steps"]) == (160, 100)
    assert (rlaif["tokens"], sft["tokens"]) == (100_000, 20_000)
    assert sft["training_flops"] == 6 * 1000 * 20_000
    assert rlaif["training_flops"] == 6 * 1000 * 100_000 + 2 * 1000 * 20_000
    assert rlaif["sampling_flops"] == 2 * 1000 * 15 * 2 * 850 and sft["sampling_flops"] == 0
    assert (rlaif["usd"], sft["usd"]) == (0.5, 0), "labels are paid for in every seed; judging is not the recipe's"
    assert rlaif["device_hours"] == pytest.approx(3 * 17.25 / 3600)


def test_a_start_uses_the_prompts_of_its_part_alone(whole: ReportInputs) -> None:
    made = build_report(whole).matches
    assert made["gain-weak"]["prompts"] == (1500, 225)
    assert "vanishing" not in made, "it is no contrast of two arms"


def test_a_count_that_was_not_recorded_is_not_taken_for_none() -> None:
    recipe = RecipeParams(prompts=10, stages=[["sft", "rl"]])
    found = used(recipe, {"sft": facts("sft", steps=3, examples=5), "rl": facts("rl", steps=2)})
    assert found is not None
    assert (found.steps, found.demonstrations) == (5, 5)
    assert (found.tokens, found.pairs, found.training_flops) == (None, None, None)


def test_seeds_are_averaged() -> None:
    recipe = RecipeParams(prompts=10, stages=[["a"], ["b"]])
    found = used(recipe, {"a": facts("sft", usd=1.0, steps=3), "b": facts("sft", usd=2.0, steps=4)})
    assert found is not None and (found.steps, found.usd) == (3.5, 1.5)


def test_nothing_is_said_while_a_stage_is_missing(whole: ReportInputs) -> None:
    key = whole.params.recipes["rlaif-weak"].stages[1][-1]
    stages = {name: stage for name, stage in whole.stages.items() if name != key}
    report = build_report(replace(whole, stages=stages), partial=True)
    assert "headline" not in report.matches and "teacher" in report.matches


def test_the_page_has_the_primary_first_and_sides_that_match_faint(whole: ReportInputs) -> None:
    report = build_report(whole)
    rows = match_rows(report)
    assert (rows[0].name, rows[0].primary) == ("headline", True)
    equal = {side.title for side in rows[0].sides if side.equal}
    assert equal == {"Prompts", "Demonstrations"}
    html = to_html(report).decode()
    assert "What each contrast holds equal" in html and 'class="n same">1,500<' in html


def test_how_many_samples_an_answer_takes_is_shown_where_it_is_not_one_everywhere(whole: ReportInputs) -> None:
    report = build_report(whole)
    assert "Samples an answer" not in match_titles(report) and "Samples an answer" not in to_html(report).decode()
    recipes = dict(whole.params.recipes)
    recipes["sft-strong"] = recipes["sft-strong"].model_copy(update={"samples": 4})
    report = build_report(replace(whole, params=whole.params.model_copy(update={"recipes": recipes})))
    (shown,) = [side for side in match_rows(report)[0].sides if side.title == "Samples an answer"]
    assert (shown.a, shown.b, shown.equal) == ("1", "4", False)
    assert "Samples an answer" in to_html(report).decode()
    assert json.loads(to_json(report))["matches"]["headline"]["samples"] == [1, 4]
