"""The report of a matrix: a verdict a cell at 1 - .05/K, one over all, and a page with a section for each."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from touchstone_client.report import print_report

from services.analyst.as_json import as_dict, matrix_dict
from services.analyst.build import build_report
from services.analyst.matrix import build_matrix
from services.analyst.matrix_page import matrix_to_html
from services.analyst.model import MatrixReport, ReportInputs
from services.analyst.params import cells_of
from services.analyst.reading import read_inputs
from services.analyst.scores import SeedScores
from services.analyst.tasks import make
from services.api.pages.figures import figures
from tests.unit.analyst.fixture import Experiment, experiment, quickstart
from tests.unit.analyst.test_page import Page

CELLS = ("critic=critic", "critic=second")


def matrix(**changes: Any) -> dict[str, Any]:
    """The quickstart's spec over two critics."""
    spec = quickstart(**changes)
    spec["models"] = {**spec["models"], "second": {"provider": "simulated", "error_rate": 0.3}}
    return spec | {"matrix": {"critics": ["critic", "second"]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return experiment(tmp_path_factory.mktemp("cache"), matrix(), usd=0.25)


@pytest.fixture(scope="module")
def inputs(made: Experiment) -> dict[str, ReportInputs]:
    artifacts = made.artifacts()
    return {name: read_inputs(cell, artifacts) for name, cell in cells_of(made.params).items()}


@pytest.fixture(scope="module")
def report(inputs: dict[str, ReportInputs]) -> MatrixReport:
    return build_matrix(inputs)


def shifted(inputs: dict[str, ReportInputs], cell: str, points: float) -> dict[str, ReportInputs]:
    """The same inputs with points added to rlaif-weak in one cell."""
    key = ("rlaif-weak", "win-rate@0.7")
    tables = {
        seed: SeedScores(one.prompt_ids, one.scores + points, one.valid)
        for seed, one in inputs[cell].scores[key].items()
    }
    return {**inputs, cell: replace(inputs[cell], scores={**inputs[cell].scores, key: tables})}


def test_the_json_has_the_contracts_fields(made: Experiment) -> None:
    data = json.loads(make(made.params, made.artifacts(), partial=False)["report.json"])
    assert tuple(data["cells"]) == CELLS
    for cell in data["cells"].values():
        assert {"arms", "contrasts", "verdict"} <= set(cell)
        assert set(cell["contrasts"]) >= {"headline", "vanishing"}
        assert {"level", "scope", "primary", "delta", "reasons", "sentence"} <= set(cell["verdict"])
    one = data["cells"]["critic=second"]
    assert data["arms"]["rlaif-weak [critic=second]"] == one["arms"]["rlaif-weak"]
    assert data["contrasts"]["headline [critic=second]"] == one["contrasts"]["headline"]
    assert {"level", "scope", "primary", "delta", "reasons", "sentence", "cells"} <= set(data["verdict"])
    assert data["scores"] == {"there": 36, "total": 36} and data["partial"] is False


def test_every_cell_is_decided_at_its_share_of_the_error(inputs: dict[str, ReportInputs], report: MatrixReport) -> None:
    for name, cell in report.cells.items():
        alone = inputs[name]
        alone = replace(alone, params=alone.params.model_copy(update={"cells": 1}))
        found, single = cell.primary_result, build_report(alone).primary_result
        assert found is not None and single is not None
        assert found.interval == single.interval == single.decision_interval
        assert found.decision_interval[0] < found.interval[0] and found.decision_interval[1] > found.interval[1]
        assert cell.alpha == pytest.approx(0.025)


def test_looks_and_cells_multiply(tmp_path: Path) -> None:
    made = experiment(tmp_path, matrix(looks=2))
    artifacts = made.artifacts()
    report = build_matrix({name: read_inputs(cell, artifacts) for name, cell in cells_of(made.params).items()})
    assert report.first.alpha == pytest.approx(0.05 / 4)
    assert any("2 cells are decided at each of 2 looks: " in note.text for note in report.notes)


def test_what_cells_share_is_the_same_and_what_differs_differs(report: MatrixReport) -> None:
    one, other = (as_dict(cell)["arms"] for cell in report.cells.values())
    assert one["sft-strong"] == other["sft-strong"]
    assert one["rlaif-weak"]["evaluations"] != other["rlaif-weak"]["evaluations"]


def test_cells_that_agree_give_their_level_and_others_none(inputs: dict[str, ReportInputs]) -> None:
    worse = shifted(shifted(inputs, "critic=critic", -40.0), "critic=second", -40.0)
    agreed = build_matrix(worse).verdict
    assert agreed.level == "sft_suffices"
    assert agreed.sentence.endswith("SFT suffices in both cells.") and agreed.scope == "checkpoints"
    differ = build_matrix(shifted(worse, "critic=second", 100.0))
    assert differ.verdict.level == "inconclusive"
    assert "no one answer for both cells: SFT suffices in 1, RL adds value in 1" in differ.verdict.sentence
    assert differ.levels == {"sft_suffices": ("critic=critic",), "rl_adds_value": ("critic=second",)}
    assert len(differ.verdict.reasons) == 2 and differ.verdict.reasons[1].startswith("critic=second: RL adds value")


def test_judges_of_opposite_opinions_decide_nothing(tmp_path: Path) -> None:
    spec = matrix() | {"matrix": {"critics": ["critic", "second"], "judges": ["judge", "critic"]}}
    made = experiment(tmp_path, spec)
    artifacts = made.artifacts()
    inputs = {name: read_inputs(cell, artifacts) for name, cell in cells_of(made.params).items()}
    for place, cell in enumerate(inputs):
        inputs = shifted(inputs, cell, 60.0 if place == 1 else -40.0)
    report = build_matrix(inputs)
    found = {cell: one.verdict for cell, one in report.cells.items()}
    opposed = ["critic=critic,judge=judge", "critic=critic,judge=critic"]
    assert list(found)[:2] == opposed
    assert [verdict.level for verdict in found.values()] == ["inconclusive"] * 2 + ["sft_suffices"] * 2
    assert f"win-rate@0.7 [{opposed[1]}] gives the opposite level of win-rate@0.7" in found[opposed[0]].reasons
    assert report.verdict.level == "inconclusive"


def test_shared_stages_are_paid_once_in_the_total(made: Experiment, report: MatrixReport) -> None:
    paid = [stage for stage in made.plan.stages.values() if stage.kind in {"judge", "label"}]
    assert report.total.usd == pytest.approx(0.25 * len(paid))
    assert report.total.usd < sum(cell.total.usd for cell in report.cells.values())


def test_a_partial_matrix_says_what_is_there(made: Experiment) -> None:
    files = make(made.params, made.artifacts(tuple(made.keys("judge")[::2])), partial=True)
    data = json.loads(files["report.json"])
    assert data["verdict"]["level"] == "pending" and 0 < data["scores"]["there"] < data["scores"]["total"]
    assert b"Partial: the experiment is not finished" in files["report.html"]
    assert json.loads(make(made.params, {}, partial=True)["report.json"])["scores"]["there"] == 0


def test_the_terminal_shows_every_cell(made: Experiment) -> None:
    out = io.StringIO()
    data = json.loads(make(made.params, made.artifacts(), partial=False)["report.json"])
    print_report(data, Console(file=out, width=100))
    text = out.getvalue()
    assert text.index("critic=critic") < text.index("critic=second") < text.index("verdict: ")
    row = [line for line in text.splitlines() if "critic=second" in line][-1]
    assert data["cells"]["critic=second"]["verdict"]["level"] in row


def test_the_page_is_well_formed_and_has_a_section_a_cell(report: MatrixReport) -> None:
    text = matrix_to_html(report).decode()
    page = Page(text)
    ids = [value for key, value in page.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for key, value in page.attributes if key.endswith("href") and value}
    labels = {one for key, value in page.attributes if key == "aria-labelledby" and value for one in value.split()}
    assert (targets | labels) <= set(ids)
    assert page.tags["caption"] == page.tags["table"]
    assert {"c1-cell", "c2-cell", "c1-arms", "c2-contrasts", "cells"} <= set(ids)
    assert text.index('id="cells"') < text.index('id="c1-cell"')
    assert "97.5% interval" in text and "Deciding interval" in text


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(made: Experiment) -> None:
    assert make(made.params, made.artifacts(), partial=False) == make(made.params, made.artifacts(), partial=False)


def test_the_primary_is_modelled_over_the_axes(inputs: dict[str, ReportInputs], report: MatrixReport) -> None:
    made = matrix_dict(report)["disagreement"]
    (factor,) = made["factors"]
    assert factor["name"] == "critic" and [one["level"] for one in factor["levels"]] == ["critic", "second"]
    moved = matrix_dict(build_matrix(shifted(inputs, CELLS[1], 10.0)))["disagreement"]
    before, after = (one["levels"][1]["estimate"] for one in (factor, moved["factors"][0]))
    assert after - before == pytest.approx(5.0), "ten points in one of two cells"
    assert moved["mean"] - made["mean"] == pytest.approx(5.0)
    assert matrix_dict(build_matrix(inputs, partial=True))["disagreement"] is None


def test_the_page_maps_the_levels_and_shows_what_a_factor_adds(inputs: dict[str, ReportInputs]) -> None:
    page = matrix_to_html(build_matrix(shifted(inputs, CELLS[1], 40.0))).decode()
    assert "Where the cells agree and where not" in page
    drawn = figures(page.encode())
    assert "heat-narrow" in drawn
    heat = drawn["heat-wide"].svg.decode()
    assert "critic = second" in heat and "RL adds value" in heat and "var(--good)" in heat
    assert "critic = second" in drawn["heat-wide"].text
    assert "What a factor’s level adds" in page
    assert "What a factor’s level adds" not in matrix_to_html(build_matrix(inputs, partial=True)).decode()
