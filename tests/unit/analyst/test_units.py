"""Scores that are no percentages: how sentences, facts, chips and figures say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.chips import chip
from services.analyst.model import Judged
from services.analyst.params import DeltaParams, EvaluationParams
from services.analyst.tasks import JSON, make
from services.api.pages import results
from shared import records
from shared.records import JUDGEMENTS
from shared.scales import OF_TEN, POINTS, REWARD, scale_of
from tests.unit.analyst.fixture import Experiment, experiment, quickstart

CHECKED = {"protocol": "verifiable", "method": "check: world"}
RM = {"provider": "reward_model", "model": "model:rm"}


def liked(folder: Path, **worth: float) -> Experiment:
    """An experiment decided by rewards: arms of the strong teacher have .5 more."""
    base = quickstart()
    spec = {
        **base,
        "models": {**base["models"], "rm": RM},
        "evaluations": {
            **base["evaluations"],
            "liked": {"protocol": "reward_model", "model": "rm", "temperature": 0.7},
        },
        "primary": {"contrast": "headline", "evaluation": "liked@0.7"},
        "worth": worth,
    }
    made = experiment(folder, spec)
    rng = np.random.default_rng(0)
    inputs = made.plan.stages[made.plan.report].inputs
    for row in made.params["scores"]:
        if row["evaluation"] == "liked@0.7":
            mean = 0.5 if "strong" in row["arm"] else 0.0
            rows = [
                {"prompt_id": f"p{at:04}", "score": float(rng.normal(mean, 0.3)), "valid": True, "completion": "x"}
                for at in range(300)
            ]
            made.commit(inputs[row["input"]], {"judgements.parquet": records.from_rows(rows, JUDGEMENTS)}, {"valid": 1})
    return made


def reported(made: Experiment) -> tuple[dict[str, Any], str]:
    files = make(made.params, made.artifacts(), partial=False)
    return json.loads(files[JSON]), files["report.html"].decode()


def test_a_primary_in_rewards_is_told_and_drawn_in_them(tmp_path: Path) -> None:
    report, page = reported(liked(tmp_path, score=0.1))
    verdict = report["verdict"]
    assert (verdict["level"], verdict["delta"], verdict["unit"]) == ("sft_suffices", 0.1, "reward")
    assert "units of reward below sft-strong on liked@0.7" in verdict["sentence"]
    found = report["contrasts"]["headline"]["liked@0.7"]
    assert f"{abs(found['estimate']):.3f} units of reward" in verdict["sentence"] and found["log_odds"] is None
    assert "points" not in verdict["sentence"] and not any("points" in reason for reason in verdict["reasons"])
    assert "0.100 units of reward" in page, "delta among the facts"
    assert 'id="forest-wide-title">Contrasts between arms, in units of reward<' in page
    assert 'id="forest-points-wide-title">Contrasts between arms, in points<' in page
    assert page.count("δ = 0.100") == 4, "of the verdict and the forest, wide and narrow, and only in delta's unit"


def test_the_page_reads_the_units_from_the_report(tmp_path: Path) -> None:
    report, _ = reported(liked(tmp_path, score=0.1))
    (block,) = results.blocks(report, None)
    primary = block.verdict.primary
    assert primary is not None and (primary.unit, primary.delta) == ("units of reward", "0.100")
    assert primary.estimate.startswith("−0.") and len(primary.estimate) == len("−0.500")
    place = block.evaluations.index("liked@0.7")
    assert all(arm.cells[place][2] is None for arm in block.arms), "no bar of 0 to 100"
    units = {row.evaluation: row.unit for row in block.contrasts}
    assert units["liked@0.7"] == "units of reward" and units["win-rate@0.7"] == ""


def test_points_stay_as_they_were(tmp_path: Path) -> None:
    report, page = reported(experiment(tmp_path))
    assert report["verdict"]["unit"] == "points" and "Contrasts between arms, in points" in page
    assert page.count('id="forest-') and 'id="forest-points' not in page
    assert report["categories"] == {}


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        (POINTS, 1.0, "1.0 point"),
        (POINTS, -2.5, "2.5 points"),
        (OF_TEN, 0.314, "0.31 points of 10"),
        (OF_TEN, 1.0, "1.00 point of 10"),
        (REWARD, -0.02, "0.020 units of reward"),
        ("-nats/token", 0.02, "0.020 nats/token"),
    ],
)
def test_an_amount_is_said_in_its_unit(unit: str, value: float, words: str) -> None:
    assert scale_of(unit).amount(value) == words


@pytest.mark.parametrize(
    ("evaluation", "score", "text", "tone"),
    [
        (CHECKED, 100.0, "right", "won"),
        (CHECKED, 0.0, "wrong", "lost"),
        (CHECKED, 40.0, "40.0% right", "even"),
        ({"protocol": "reward_model", "unit": REWARD, "method": "rewards of rm"}, -1.25, "reward −1.250", "none"),
        ({"protocol": "mt_bench", "unit": OF_TEN}, 7.5, "7.50 of 10", "none"),
        ({"protocol": "pairwise", "reference": "r"}, 100.0, "better than the reference", "won"),
        (CHECKED, None, "not judged", "none"),
    ],
)
def test_a_completion_alone_has_its_score_for_a_verdict(
    evaluation: dict[str, Any], score: float | None, text: str, tone: str
) -> None:
    found = chip(Judged("x", evaluation.get("reference"), score), EvaluationParams(**evaluation))
    assert (found.text, found.tone) == (text, tone)


def test_delta_is_as_given_in_points_or_in_the_score() -> None:
    assert DeltaParams(points=2.0).given == 2.0 and DeltaParams(score=0.3).given == 0.3
    assert DeltaParams(usd_per_point=5.0).given is None


def test_an_arm_that_was_trained_to_please_its_judge_is_named(tmp_path: Path) -> None:
    base = quickstart(critic="rm")
    spec = {
        **base,
        "models": {**base["models"], "rm": RM},
        "evaluations": {**base["evaluations"], "liked": {"protocol": "reward_model", "model": "rm"}},
    }
    report, _ = reported(experiment(tmp_path, spec))
    (note,) = [one for one in report["notes"] if one["text"].startswith("liked:")]
    assert "rlaif-weak and rlaif-strong" in note["text"] and note["spec"] == "evaluations.liked.model"
