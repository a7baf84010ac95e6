"""Arms judged against each other in a report: scores, ratings, contrasts, the matrix, and what cannot be said."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.as_json import as_dict, to_json
from services.analyst.build import build_report
from services.analyst.contrasts import compare, parse_contrasts
from services.analyst.matrix import build_matrix
from services.analyst.matrix_page import matrix_to_html
from services.analyst.model import Report, ReportInputs
from services.analyst.page import to_html
from services.analyst.params import ReportParams, cells_of
from services.analyst.reading import read_inputs
from services.analyst.scores import ArmScores
from services.api.pages.results import blocks
from tests.unit.analyst.fixture import experiment, quickstart

BETWEEN = ["rlaif-weak", "sft-strong"]
DUEL = {"protocol": "pairwise", "judge": "judge", "between": BETWEEN, "temperature": 0.7}
ARENA = {"protocol": "arena", "judge": "judge", "temperature": 0.7}
REFERENCE = {"protocol": "pairwise", "judge": "judge", "reference": "reference", "temperature": 0.7}
DECIDED_BY_DUEL = {"contrast": "headline", "evaluation": "duel@0.7"}
HEADLINE = parse_contrasts({"headline": ["rlaif-weak", "sft-strong"]})["headline"]


def spec(**changes: Any) -> dict[str, Any]:
    evaluations = {"win-rate": REFERENCE, "duel": DUEL, "arena": ARENA}
    return quickstart(evaluations=evaluations, primary=DECIDED_BY_DUEL, **changes)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    made = experiment(tmp_path_factory.mktemp("cache"), spec())
    return read_inputs(ReportParams.model_validate(made.params), made.artifacts())


@pytest.fixture(scope="module")
def report(inputs: ReportInputs) -> Report:
    return build_report(inputs)


@pytest.fixture(scope="module")
def made(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(report))
    return found


def test_the_two_arms_win_rates_add_up_to_100_and_their_difference_decides(made: dict[str, Any]) -> None:
    scores = [made["arms"][arm]["evaluations"]["duel@0.7"] for arm in ("rlaif-weak", "sft-strong")]
    headline = made["contrasts"]["headline"]["duel@0.7"]
    assert sum(one["estimate"] for one in scores) == pytest.approx(100)
    assert headline["estimate"] == pytest.approx(scores[0]["estimate"] - scores[1]["estimate"])
    assert headline["standard_error"] == pytest.approx(2 * scores[0]["standard_error"]), "one judgement, counted once"
    assert headline["n_prompts"] == scores[0]["n"] == scores[1]["n"]
    assert headline["win_rates"] == pytest.approx([one["estimate"] for one in scores])
    assert not headline["exploratory"]


def test_the_sentence_says_that_it_is_head_to_head_and_both_win_rates(made: dict[str, Any]) -> None:
    sentence = made["verdict"]["sentence"]
    mine, other = (f"{rate:.1f}" for rate in made["contrasts"]["headline"]["duel@0.7"]["win_rates"])
    assert "head to head rlaif-weak wins" in sentence and f"{mine} to {other}" in sentence
    assert any("2 points is 51 to 49" in note["text"] for note in made["notes"])


def test_arms_and_contrasts_that_a_duel_does_not_judge_are_left_out_and_not_pending(report: Report) -> None:
    made = as_dict(report)
    assert {arm for arm, one in made["arms"].items() if "duel@0.7" in one["evaluations"]} == set(BETWEEN)
    assert [name for name, one in made["contrasts"].items() if "duel@0.7" in one] == ["headline"]
    assert not any(one.pending or one.absent for one in report.contrasts)
    assert ">pending<" not in to_html(report).decode()


def test_the_rows_of_the_second_arm_are_the_firsts_turned_round(inputs: ReportInputs) -> None:
    a, b = (inputs.scores[arm, "duel@0.7"][0] for arm in ("sft-strong", "rlaif-weak"))
    assert a.prompt_ids.tolist() == b.prompt_ids.tolist() and a.valid.tolist() == b.valid.tolist()
    assert (a.scores + b.scores)[a.valid] == pytest.approx(100)
    assert set(inputs.examples[0].completions) == {"sft-strong", "rlaif-weak"}
    assert inputs.examples_of == "duel@0.7" and inputs.examples[0].reference is None


def test_each_order_alone_is_the_first_arms_place(inputs: ReportInputs, report: Report) -> None:
    """Their mean is the contrast; in the table that is read, rlaif-weak is the second arm."""
    assert set(report.orders) == {"shown first", "shown second"}
    result = report.primary_result
    assert result is not None
    mean = np.mean([one.estimate for one in report.orders.values()])
    assert mean == pytest.approx(result.estimate, abs=1.5), "prompts that are valid in one order alone count there"
    first = inputs.orders["rlaif-weak"][0]["shown first"]
    other = inputs.orders["sft-strong"][0]["shown first"]
    assert (first.scores + other.scores)[first.valid & other.valid] == pytest.approx(100)
    assert "rlaif-weak’s completions always shown first" in to_html(report).decode()


def test_ratings_are_the_arms_scores_and_their_differences_the_contrasts(made: dict[str, Any]) -> None:
    ratings = {arm: one["evaluations"]["arena@0.7"] for arm, one in made["arms"].items()}
    assert np.mean([one["estimate"] for one in ratings.values()]) == pytest.approx(1000)
    found = made["contrasts"]["headline"]["arena@0.7"]
    difference = ratings["rlaif-weak"]["estimate"] - ratings["sft-strong"]["estimate"]
    assert found["estimate"] == pytest.approx(difference) and found["exploratory"]
    assert found["interval"][0] < found["estimate"] < found["interval"][1] and found["log_odds"] is None
    assert "vanishing" in made["contrasts"] and "arena@0.7" in made["contrasts"]["vanishing"]
    arena = made["arenas"]["arena@0.7"]
    assert arena["groups"] == [list(made["arms"])] and arena["held"] == [] and arena["comparisons"] == 15 * 296
    assert made["evaluations"]["arena@0.7"]["unit"] == "Elo" and made["evaluations"]["arena@0.7"]["pooled"]


def test_the_matrix_has_every_pair_in_both_directions_once(made: dict[str, Any]) -> None:
    (matrix,) = made["win_rates"]
    assert matrix["evaluations"] == ["duel@0.7", "arena@0.7"] and matrix["judge"] == "judge"
    assert sorted(matrix["arms"]) == sorted(made["arms"])
    for row in matrix["arms"]:
        assert set(matrix["rows"][row]) == set(matrix["arms"]) - {row}
        for column, cell in matrix["rows"][row].items():
            assert cell["estimate"] + matrix["rows"][column][row]["estimate"] == pytest.approx(100)
    assert matrix["rows"]["rlaif-weak"]["sft-strong"]["estimate"] == pytest.approx(
        made["arms"]["rlaif-weak"]["evaluations"]["duel@0.7"]["estimate"]
    )
    means = [np.mean([cell["estimate"] for cell in matrix["rows"][arm].values()]) for arm in matrix["arms"]]
    assert means == sorted(means, reverse=True)


def test_the_page_draws_the_matrix_and_has_its_numbers_as_a_table(report: Report) -> None:
    page = to_html(report).decode()
    assert page.count('aria-labelledby="wins1-wide-title') == page.count('aria-labelledby="wins1-narrow-title') == 1
    section = page[page.index('id="win-rates"') :]
    section = section[: section.index("</section>")]
    assert section.count('<th scope="row">') == 6 and section.count("<td") == 36


def test_without_battles_there_is_no_matrix_and_it_is_said(tmp_path: Path) -> None:
    made = experiment(tmp_path, quickstart())
    report = build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()))
    assert as_dict(report)["win_rates"] == [] and as_dict(report)["arenas"] == {}
    assert 'id="win-rates"' not in to_html(report).decode()
    assert any("no win-rate matrix" in note.text for note in report.notes)


def test_the_pages_blocks_have_the_matrix_and_dashes_for_who_was_not_judged(made: dict[str, Any]) -> None:
    (block,) = blocks(made, None)
    (matrix,) = block.win_rates
    assert matrix.arms == tuple(made["win_rates"][0]["arms"]) and len(matrix.rows) == 6
    assert matrix.rows[0][1][0] is None and re.fullmatch(r"\d\d\.\d", (matrix.rows[0][1][1] or ("",))[0])
    by_name = {arm.name: dict(zip(block.evaluations, arm.cells, strict=True)) for arm in block.arms}
    assert by_name["sft-weak"]["duel@0.7"] == ("–", "", None)
    assert re.fullmatch(r"1?\d{3}", by_name["sft-weak"]["arena@0.7"][0]), "ratings are whole numbers"


def test_a_partial_report_shows_the_pairs_that_are_there_and_no_ratings_yet(tmp_path: Path) -> None:
    experiment_ = experiment(tmp_path, spec())
    inputs = experiment_.plan.stages[experiment_.plan.report].inputs
    gone = next(key for name, key in inputs.items() if name.startswith("battle/start-weak/"))
    params = ReportParams.model_validate(experiment_.params)
    found = build_report(read_inputs(params, experiment_.artifacts((gone,))), partial=True)
    made = as_dict(found)
    assert made["arenas"] == {} and "arena@0.7" not in made["arms"]["sft-weak"]["evaluations"]
    assert made["scores"] == {"there": 6 + 1 + 14, "total": 6 + 1 + 15}
    assert sum(len(row) for row in made["win_rates"][0]["rows"].values()) == 2 * 14
    assert all("arena@0.7" in one.pending for one in found.contrasts)
    assert to_html(found)
    with pytest.raises(ValueError, match="no judgements of start-weak against"):
        build_report(read_inputs(params, experiment_.artifacts((gone,))))


def test_seeds_are_judged_apart_and_pooled(tmp_path: Path) -> None:
    made = experiment(tmp_path, spec(seeds=[0, 1, 2]))
    inputs = read_inputs(ReportParams.model_validate(made.params), made.artifacts())
    assert {len(seeds) for seeds in inputs.battles["arena@0.7"].values()} == {3}
    report = build_report(inputs)
    result = next(one for one in report.contrasts if one.contrast.name == "headline").results["arena@0.7"]
    assert result.seeds == 3 and report.verdict.scope == "recipe"
    assert report.arenas["arena@0.7"].battles.shares.shape[1] == 3


def test_null_completions_that_a_duel_does_not_judge_do_not_stop_it(inputs: ReportInputs) -> None:
    params = inputs.params.model_copy(update={"null_completions": ["nothing"]})
    assert build_report(replace(inputs, params=params)).verdict.level != "invalid"


def test_cells_of_a_matrix_have_their_own_battles(tmp_path: Path) -> None:
    made = experiment(tmp_path, spec(matrix={"fractions": [0.1, 0.3]}))
    cells = {name: read_inputs(cell, made.artifacts()) for name, cell in cells_of(made.params).items()}
    report = build_matrix(cells)
    found = json.loads(to_json(report))
    assert all(len(cell["win_rates"]) == 1 and cell["arenas"] for cell in found["cells"].values())
    page = matrix_to_html(report).decode()
    assert 'aria-labelledby="c1-wins1-wide-title' in page and 'aria-labelledby="c2-wins1-wide-title' in page
    assert len(blocks(found, None)) == 2


def duel(rng: np.random.Generator, seeds: int, prompts: int, level: float, seed_sd: float) -> dict[str, ArmScores]:
    """One experiment in which A beats B at `level` log-odds on average, unlike by prompt and by seed."""
    logits = level + rng.normal(0, 1, prompts)[None, :] + rng.normal(0, seed_sd, (seeds, 1))
    p = 1 / (1 + np.exp(-logits))
    both = [np.where(rng.random(p.shape) < 0.15, 0.5, rng.random(p.shape) < p) for _ in range(2)]
    table = 50.0 * (both[0] + both[1])
    ids = np.array([f"p{place:05}" for place in range(prompts)], dtype=np.str_)
    a = ArmScores("rlaif-weak", "duel", tuple(range(seeds)), ids, table)
    return {"rlaif-weak": a, "sft-strong": replace(a, arm="sft-strong", values=100 - table)}


@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.3)])
def test_a_duels_interval_holds_the_truth_as_often_as_it_says(seeds: int, seed_sd: float) -> None:
    rng = np.random.default_rng(11)
    many = 1 / (1 + np.exp(-(0.2 + rng.normal(0, np.hypot(1, seed_sd), 2_000_000))))
    truth = 2 * (100 * (0.85 * many.mean() + 0.15 / 2)) - 100
    hits = 0
    for _ in range(800):
        result = compare(HEADLINE, duel(rng, seeds, 120, 0.2, seed_sd), 0.05, head_to_head=True)
        assert result is not None
        hits += result.interval[0] <= truth <= result.interval[1]
    assert 92.5 <= 100 * hits / 800 <= 98


def test_that_answers_which_say_nothing_are_not_judged_head_to_head_is_said(report: Report) -> None:
    assert any("No null completions were judged head to head" in note.text for note in report.notes)


def test_an_arm_that_never_wins_is_named_in_a_note(inputs: ReportInputs) -> None:
    lost = {
        (a, b): {
            seed: replace(one, scores=np.where(b == "start-weak", 100.0, np.where(a == "start-weak", 0.0, one.scores)))
            for seed, one in seeds.items()
        }
        for (a, b), seeds in inputs.battles["arena@0.7"].items()
    }
    found = build_report(replace(inputs, battles={**inputs.battles, "arena@0.7": lost}))
    made = as_dict(found)
    assert made["arenas"]["arena@0.7"]["held"] == ["start-weak"]
    assert np.isfinite(made["arms"]["start-weak"]["evaluations"]["arena@0.7"]["interval"]).all()
    assert any("start-weak won or lost everything" in note.text for note in found.notes)
    assert to_html(found)


def test_pairs_without_one_valid_judgement_leave_ratings_on_scales_of_their_own(inputs: ReportInputs) -> None:
    weak = {"sft-weak", "start-weak", "rlaif-weak"}
    apart = {
        (a, b): {
            seed: one if (a in weak) == (b in weak) else replace(one, valid=np.zeros_like(one.valid))
            for seed, one in seeds.items()
        }
        for (a, b), seeds in inputs.battles["arena@0.7"].items()
    }
    found = build_report(replace(inputs, battles={**inputs.battles, "arena@0.7": apart}))
    absent = {one.contrast.name for one in found.contrasts if "arena@0.7" in one.absent}
    assert absent == {"headline", "teacher"}, "vanishing takes differences within each group alone"
    assert any("not all arms were compared" in note.text for note in found.notes)
    (matrix,) = found.win_rates
    assert ("sft-weak", "sft-strong") not in matrix.cells and ("sft-weak", "rlaif-weak") in matrix.cells
