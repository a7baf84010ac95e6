"""Data scaling: each recipe's score by the share of demonstrations, from a matrix over fractions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.analyst.as_json import matrix_dict
from services.analyst.matrix import build_matrix
from services.analyst.matrix_page import matrix_to_html
from services.analyst.model import MatrixReport
from services.analyst.params import cells_of
from services.analyst.reading import read_inputs
from services.analyst.scaling import scaling
from services.api.pages.figures import figures
from tests.unit.analyst.fixture import Experiment, experiment, quickstart

FRACTIONS = [0.05, 0.25, 1.0]


def small(matrix: dict[str, Any]) -> dict[str, Any]:
    """The quickstart's arms on a few prompts, judged once."""
    spec = quickstart(matrix=matrix, prompts={"source": {"world": {"seed": 0}}, "train": 200, "dev": 0, "eval": 20})
    spec["evaluations"] = {"win-rate": {**spec["evaluations"]["win-rate"], "temperature": 0.7}}
    return spec


def built(made: Experiment, without: tuple[str, ...] = ()) -> MatrixReport:
    artifacts = made.artifacts(without)
    inputs = {name: read_inputs(cell, artifacts) for name, cell in cells_of(made.params).items()}
    return build_matrix(inputs, partial=bool(without))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> MatrixReport:
    return built(experiment(tmp_path_factory.mktemp("cache"), small({"fractions": FRACTIONS})))


def test_sft_has_a_line_a_teacher_up_to_all_prompts_and_rl_one_an_arm(report: MatrixReport) -> None:
    (found,) = scaling(report)
    assert found.rest == "" and found.evaluation == "win-rate@0.7" and found.unit == "points"
    lines = {line.name: [(point.fraction, point.arm) for point in line.points] for line in found.lines}
    assert lines == {
        "SFT on weak-teacher": [(0.05, "start-weak"), (0.25, "start-weak"), (1.0, "sft-weak")],
        "SFT on strong-teacher": [(0.05, "start-strong"), (0.25, "start-strong"), (1.0, "sft-strong")],
        "rlaif-weak": [(0.05, "rlaif-weak"), (0.25, "rlaif-weak")],
        "rlaif-strong": [(0.05, "rlaif-strong"), (0.25, "rlaif-strong")],
    }
    point = next(line for line in found.lines if line.rl).points[1]
    cell = report.cells["fraction=0.25"]
    arm = next(arm for arm in cell.arms if arm.name == point.arm)
    assert point.estimate == arm.evaluations["win-rate@0.7"].estimate and point.cell == "fraction=0.25"


def test_json_has_the_lines_and_the_page_a_figure_and_a_table(report: MatrixReport) -> None:
    (one,) = matrix_dict(report)["scaling"]
    assert one["lines"][0]["points"][0]["interval"][0] < one["lines"][0]["points"][0]["estimate"]
    page = matrix_to_html(report)
    drawn = figures(page)
    assert {"s1-scaling-wide", "s1-scaling-narrow"} <= set(drawn)
    figure = drawn["s1-scaling-wide"].svg.decode()
    for words in ("5%", "25%", "100%", "SFT on strong-teacher", "rlaif-weak"):
        assert words in figure
    assert "How much data it takes" in page.decode()


def test_other_axes_have_a_figure_for_each_level(tmp_path: Path) -> None:
    found = scaling(built(experiment(tmp_path, small({"critics": ["critic", "judge"], "fractions": FRACTIONS}))))
    assert [one.rest for one in found] == ["critic=critic", "critic=judge"]


def test_without_fractions_or_scores_there_is_none(tmp_path: Path) -> None:
    assert scaling(built(experiment(tmp_path / "a", small({"critics": ["critic", "judge"]})))) == ()
    made = experiment(tmp_path / "b", small({"fractions": FRACTIONS}))
    report = built(made, tuple(made.keys("judge")))
    assert scaling(report) == () and b"How much data" not in matrix_to_html(report)
