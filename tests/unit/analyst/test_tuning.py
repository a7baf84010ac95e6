"""Which of several trials is chosen on dev, and what the report says of all of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.analyst.as_json import to_json
from services.analyst.build import build_report
from services.analyst.model import Report
from services.analyst.page import to_html
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from services.analyst.scores import ArmScores, SeedScores, assemble
from services.analyst.tuning.choice import STOPPED, UNREADABLE, choice
from shared.errors import PermanentError
from tests.unit.analyst.fixture import experiment, quickstart


def scores(*seeds: Sequence[float | None]) -> ArmScores:
    """One trial's: a list of prompts' scores for each seed, None where the judgement cannot be read."""
    tables = {
        seed: SeedScores(
            np.asarray([f"d{place}" for place in range(len(values))], dtype=np.str_),
            np.asarray([np.nan if value is None else value for value in values], dtype=np.float64),
            np.asarray([value is not None for value in values]),
        )
        for seed, values in enumerate(seeds)
    }
    return assemble("trial", "dev", tables)


def flat(*means: float) -> list[ArmScores]:
    return [scores([mean, mean]) for mean in means]


POINTS = st.sampled_from([0.0, 50.0, 100.0])
TABLES = st.lists(st.lists(st.lists(POINTS, min_size=3, max_size=3), min_size=2, max_size=2), min_size=1, max_size=6)


@given(TABLES)
@settings(max_examples=40, deadline=None)
def test_the_highest_mean_over_seeds_and_prompts_is_chosen_and_of_equal_ones_the_first(
    tables: list[list[list[float]]],
) -> None:
    found = choice([scores(*of) for of in tables], range(len(tables)))
    means = [float(np.mean(of)) for of in tables]
    assert [one.estimate for one in found.trials] == pytest.approx(means)
    assert found.chosen == means.index(max(means))
    assert all(one.interval is not None and one.out is None for one in found.trials)


@given(st.lists(POINTS, min_size=1, max_size=8), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_with_patience_nothing_counts_after_so_many_in_a_row_without_a_better_one(
    means: list[float], patience: int
) -> None:
    found = choice(flat(*means), ["one"] * len(means), patience)
    last = len(means)
    for place in range(len(means)):
        before = means[: place - patience]
        if place >= patience and before and max(means[place - patience : place]) <= max(before):
            last = place
            break
    assert [one.out for one in found.trials] == [None] * last + [STOPPED] * (len(means) - last)
    assert means[found.chosen] == max(means[:last])


def test_patience_counts_within_one_training() -> None:
    found = choice(flat(50, 40, 90, 30, 60), ["a", "a", "a", "b", "b"], patience=1)
    assert [one.out for one in found.trials] == [None, None, STOPPED, None, None]
    assert found.chosen == 4


def test_only_prompts_that_are_valid_for_every_trial_and_seed_count() -> None:
    found = choice(
        [scores([0.0, 100.0, 50.0], [None, 100.0, 50.0]), scores([90.0, 60.0, 60.0], [90.0, 60.0, 60.0])], [0, 1]
    )
    assert (found.prompts, found.chosen) == (2, 0)


def test_a_trial_that_can_hardly_be_judged_is_out_and_takes_no_prompts_from_the_others() -> None:
    found = choice([scores([100.0, None, None, None]), scores([10.0, 20.0, 30.0, 40.0])], [0, 1])
    assert (found.chosen, found.prompts, found.trials[0].out) == (1, 4, UNREADABLE)


def test_what_diverged_is_never_chosen() -> None:
    assert choice(flat(90, 10), [0, 1], out=["diverged", None]).chosen == 1
    with pytest.raises(PermanentError, match="none of 2 trials can be chosen: diverged"):
        choice(flat(90, 10), [0, 1], out=["diverged", "diverged"])


def test_without_a_valid_prompt_in_common_nothing_is_chosen() -> None:
    with pytest.raises(PermanentError, match=r"raise prompts\.dev"):
        choice([scores([50.0, None]), scores([None, 50.0])], [0, 1])


RATES = {"learning_rate": [1e-4, 1e-3, 10.0]}


def swept(**changes: Any) -> dict[str, Any]:
    """A spec whose arms each try six settings: SFT's of three rates at two checkpoints, RL's of three rates each."""
    spec = quickstart(**changes)
    spec["prompts"] |= {"eval": 40, "dev": 20}
    spec["evaluations"]["win-rate"]["temperature"] = 0.7
    for name in ("preset", "weak", "strong", "critic", "fraction", "rl"):
        del spec[name]
    spec["arms"] = {
        f"{kind}-{teacher}": {"sft": {"teacher": f"{teacher}-teacher", "sweep": RATES, **of}, **rl}
        for teacher in ("weak", "strong")
        for kind, of, rl in (
            ("sft", {"checkpoints": 2}, {}),
            ("rlaif", {"fraction": 0.15}, {"rl": {"critic": "critic", "sweep": {"beta": [0.1, 0.3, 0.5]}}}),
        )
    }
    return spec


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    made = experiment(tmp_path_factory.mktemp("cache"), swept(), usd=0.5)
    return build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()))


def test_the_report_has_every_trial_once_with_the_arms_that_it_is_of(report: Report) -> None:
    found = json.loads(to_json(report))["tuning"]
    assert (found["evaluation"], found["unequal"]) == ("win-rate@0.7", False)
    assert found["counts"] == dict.fromkeys(("sft-weak", "rlaif-weak", "sft-strong", "rlaif-strong"), 6)
    steps = {(tuple(step["arms"]), step["step"]): step for step in found["steps"]}
    assert len(steps) == 6 and ("start-weak", "rlaif-weak") in {arms for arms, _ in steps}
    tried = steps[("sft-weak",), "sft"]["trials"]
    assert [(one["settings"]["learning_rate"], one["checkpoint"]) for one in tried] == [
        (1e-4, 1), (1e-4, 2), (1e-3, 1), (1e-3, 2), (10.0, 1), (10.0, 2),
    ]  # fmt: skip
    assert [one["chosen"] for one in tried] == [False, True, False, False, False, False]


def test_every_trial_is_in_the_arm_s_cost_and_its_rows_count_once(report: Report) -> None:
    used = {arm.name: arm.used for arm in report.arms}
    # Three trainings of 100 steps; 17.25 seconds of each, and of each of the six samples on dev.
    assert used["sft-weak"] is not None and used["start-weak"] is not None and used["rlaif-weak"] is not None
    assert (used["sft-weak"].trials, used["sft-weak"].steps, used["sft-weak"].demonstrations) == (6, 300, 1000)
    assert used["sft-weak"].device_hours == pytest.approx((3 + 6) * 17.25 / 3600)
    assert (used["start-weak"].trials, used["rlaif-weak"].trials, used["rlaif-weak"].steps) == (3, 6, 300 + 180)
    assert used["rlaif-weak"].pairs == 900
    costs = {arm.name: arm.cost.usd for arm in report.arms}
    # A judgement on dev for each trial, and one on eval.
    assert costs["sft-weak"] == pytest.approx(0.5 * (6 + 1))


def test_the_page_shows_the_trials_and_the_match_table_their_number(report: Report) -> None:
    html = to_html(report).decode()
    assert html.count('<table class="trials">') == 6
    assert "diverged: after step 7" in html and "Trials on dev" in html
    assert "declares no numbers of tuning trials" not in html


def build_report_of(spec: dict[str, Any]) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        made = experiment(Path(folder), spec)
        return build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()))


def test_unequal_numbers_of_trials_are_said_and_make_a_verdict_between_them_invalid() -> None:
    spec = swept(tuning={"unequal_trials": True})
    del spec["arms"]["sft-strong"]["sft"]["sweep"]
    report = build_report_of(spec)
    assert report.verdict.level == "invalid"
    assert "unequal numbers of tuning trials: 6 for rlaif-weak, 2 for sft-strong" in report.verdict.reasons
    assert any("Unequal numbers of settings" in note.text and "2 for sft-strong" in note.text for note in report.notes)
    own_start = build_report_of(spec | {"primary": {"contrast": "gain-weak", "evaluation": "win-rate@0.7"}})
    assert own_start.verdict.level != "invalid"
