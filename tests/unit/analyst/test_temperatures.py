"""Each arm at the temperature that dev chose for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.as_json import to_json
from services.analyst.build import build_report
from services.analyst.model import Report
from services.analyst.page import to_html
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from services.analyst.scores import SeedScores
from services.analyst.temperatures import choose, with_choices
from tests.unit.analyst.fixture import Experiment, experiment, quickstart

BEST = "win-rate@best_on_dev"


def spec(**changes: Any) -> dict[str, Any]:
    data = quickstart(also_judge=["base", "teachers"], primary={"contrast": "headline", "evaluation": BEST})
    data["prompts"] |= {"eval": 60, "dev": 40}
    data["evaluations"]["win-rate"]["best_on_dev"] = True
    return data | changes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return experiment(tmp_path_factory.mktemp("cache"), spec())


@pytest.fixture(scope="module")
def report(made: Experiment) -> Report:
    return build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()))


def table(*scores: float, valid: list[bool] | None = None) -> SeedScores:
    ids = np.asarray([f"d{place}" for place in range(len(scores))], dtype=np.str_)
    return SeedScores(ids, np.asarray(scores, dtype=np.float64), np.asarray(valid or [True] * len(scores)))


def of_arm(made: Experiment, arm: str, **dev: SeedScores) -> Any:
    """What is chosen for an arm from made-up dev scores by temperature (`t07`)."""
    params = ReportParams.model_validate(made.params)
    names = {"t1": "win-rate@1.0", "t07": "win-rate@0.7", "t0": "win-rate@0.0"}
    return choose(params, {(arm, names[at]): {0: one} for at, one in dev.items()})


def test_the_best_dev_mean_chooses(made: Experiment) -> None:
    found = of_arm(made, "sft-weak", t1=table(10, 20), t07=table(90, 20), t0=table(40, 60))[BEST]["sft-weak"]
    assert (found.evaluation, found.temperature, found.prompts) == ("win-rate@0.7", 0.7, 2)
    assert found.dev == {"win-rate@1.0": 15.0, "win-rate@0.7": 55.0, "win-rate@0.0": 50.0}


def test_of_equal_means_the_lowest_temperature_is_taken(made: Experiment) -> None:
    found = of_arm(made, "sft-weak", t1=table(50, 50), t07=table(40, 60), t0=table(60, 40))
    assert found[BEST]["sft-weak"].temperature == 0.0


def test_only_prompts_that_are_valid_at_every_temperature_count(made: Experiment) -> None:
    broken = table(100, 0, valid=[False, True])
    found = of_arm(made, "sft-weak", t1=table(0, 10), t07=broken, t0=table(100, 5))[BEST]["sft-weak"]
    assert (found.evaluation, found.prompts) == ("win-rate@1.0", 1)


def test_without_a_valid_dev_prompt_the_lowest_is_taken_and_no_mean_said(made: Experiment) -> None:
    nothing = table(0, 0, valid=[False, False])
    found = of_arm(made, "sft-weak", t1=nothing, t07=table(1, 2), t0=table(1, 2))[BEST]["sft-weak"]
    assert found.temperature == 0.0 and set(found.dev.values()) == {None}


def test_nothing_is_chosen_before_dev_is_judged_at_every_temperature(made: Experiment) -> None:
    params = ReportParams.model_validate(made.params)
    found = of_arm(made, "sft-weak", t1=table(1, 2), t07=table(1, 2))
    assert found == {}
    waiting = [row for row in with_choices(params, found).scores if (row.arm, row.evaluation) == ("sft-weak", BEST)]
    assert len(waiting) == 1 and waiting[0].input not in made.plan.stages[made.plan.report].inputs


def test_an_arm_scores_what_it_scores_on_eval_at_its_own_temperature(report: Report) -> None:
    assert len({chosen.evaluation for chosen in report.choices[BEST].values()}) > 1
    for arm in report.arms:
        if (chosen := report.choices[BEST].get(arm.name)) is not None:
            assert arm.evaluations[BEST] == arm.evaluations[chosen.evaluation]


def test_a_teacher_has_none_and_scores_the_same_at_each(report: Report) -> None:
    teacher = next(arm for arm in report.arms if arm.name == "teacher:weak-teacher")
    assert teacher.name not in report.choices[BEST]
    assert teacher.evaluations[BEST] == teacher.evaluations["win-rate@0.0"]


def test_the_verdict_can_be_made_from_it(report: Report) -> None:
    a, b = (report.choices[BEST][arm].evaluation for arm in ("rlaif-weak", "sft-strong"))
    scores = {arm.name: arm.evaluations for arm in report.arms}
    found = report.primary_result
    assert found is not None and report.verdict.evaluation == BEST
    assert found.estimate == pytest.approx(
        scores["rlaif-weak"][a].estimate - scores["sft-strong"][b].estimate, abs=3
    ), "the same but for prompts that are not valid for both"


def test_the_temperatures_are_told_and_shown_side_by_side(report: Report) -> None:
    told = json.loads(to_json(report))["best_on_dev"][BEST]["sft-weak"]
    assert set(told) == {"evaluation", "temperature", "dev", "prompts"} and len(told["dev"]) == 3
    html = to_html(report).decode()
    assert "T = 0.7" in html and ", chosen</small>" in html


def test_a_partial_report_waits_for_dev(made: Experiment) -> None:
    dev = {key for name, key in made.plan.stages[made.plan.report].inputs.items() if name.startswith("dev/sft-weak/")}
    inputs = read_inputs(ReportParams.model_validate(made.params), made.artifacts(without=tuple(dev)))
    report = build_report(inputs, partial=True)
    assert "sft-weak" not in report.choices[BEST]
    assert report.scores_total - report.scores_there == len(dev)
    teacher = next(one for one in report.contrasts if one.contrast.name == "teacher")
    assert BEST in teacher.pending and "win-rate@0.7" in teacher.results


def test_a_report_of_all_of_dev_counts_every_set_once(report: Report, tmp_path: Path) -> None:
    assert report.scores_there == report.scores_total
