"""Recorded data at a declared price: counted where arms are compared, and never called spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.analyst.as_json import to_json
from services.analyst.build import build_report, delta_of
from services.analyst.declared import declared_usd
from services.analyst.frontier import prices
from services.analyst.model import ReportInputs
from services.analyst.page import to_html
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from services.api.pages.results import blocks
from shared import records
from shared.plan.experiment import plan
from shared.prices import price_errors, price_of
from shared.spec.parse import parse_spec
from tests.unit.analyst.fixture import experiment, offline, quickstart

ROWS = records.from_rows([{"prompt_id": str(n), "prompt": "a" * 40, "completion": "b" * 400} for n in range(100)],
                         records.COMPLETIONS)  # fmt: skip
BY_TOKENS = {"input": 30.0, "output": 60.0}


def priced(**changes: Any) -> dict[str, Any]:
    """A spec with recorded teachers at a price each."""
    models = dict(offline()["models"])
    models["gpt-3.5"] = {**models["gpt-3.5"], "price": {"usd_per_row": 0.001}}
    models["gpt-4"] = {**models["gpt-4"], "price": BY_TOKENS}
    models["gpt-4-labels"] = {**models["gpt-4-labels"], "price": {"usd_per_row": 0.5}}
    return offline(models=models, worth={"usd_per_point": 1.0}, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    made = experiment(tmp_path_factory.mktemp("cache"), priced())
    for key in (*made.keys("teach"), *made.keys("label")):
        made.commit(key, {"rows.parquet": ROWS}, {})
    return read_inputs(ReportParams.model_validate(made.params), made.artifacts())


def test_a_row_s_price_and_tokens_of_four_characters() -> None:
    assert declared_usd(ROWS, {"usd_per_row": 0.01}) == pytest.approx(1.0)
    assert declared_usd(ROWS, BY_TOKENS) == pytest.approx(100 * (10 * 30 + 100 * 60) / 1e6)
    assert declared_usd(ROWS.slice(0, 0), BY_TOKENS) == 0


def test_it_counts_in_costs_delta_and_frontier(whole: ReportInputs) -> None:
    report = build_report(whole)
    cost = {arm.name: arm.cost for arm in report.arms}
    assert cost["sft-weak"].usd == 0 and cost["sft-weak"].declared > 0
    front = prices(whole.params, whole.stages)
    assert front["sft-weak"].alone == front["sft-weak"].declared == pytest.approx(0.1)
    assert front["sft-strong"].declared == pytest.approx(0.63) and front["sft-strong"].calls == 0
    assert front["rlaif-weak"].declared == pytest.approx(0.1 + 50.0), "a hundred labels at half a dollar"
    delta = delta_of(whole.params, cost, ("rlaif-weak", "sft-strong"))
    assert delta == pytest.approx(cost["rlaif-weak"].declared - cost["sft-strong"].declared)


def test_it_is_said_to_be_declared_and_not_spent(whole: ReportInputs) -> None:
    report = build_report(whole)
    data = json.loads(to_json(report))
    assert data["cost"]["usd"] == 0 and data["cost"]["declared_usd"] > 50
    (note,) = [note["text"] for note in data["notes"] if "gpt-4 count" in note["text"]]
    assert "Nobody paid it" in note and "4 characters" in note
    page = to_html(report).decode()
    assert "declared" in page and "which nobody paid" in page
    (block,) = blocks(data, None)
    assert "declared" in block.arms[0].usd and block.frontier is not None and block.frontier.declared


def test_nobody_is_asked_for_it_and_no_budget_counts_it() -> None:
    spec = parse_spec(priced(budget_usd=1.0))
    assert not list(price_errors(spec))
    free = price_of(spec.models["gpt-4"])
    assert free is not None and free.free


def test_only_the_report_s_key_knows_a_price(tmp_path: Path) -> None:
    with_price, without = (
        experiment(tmp_path, spec).plan for spec in (priced(), offline(worth={"usd_per_point": 1.0}))
    )
    assert set(with_price.stages) ^ set(without.stages) == {with_price.report, without.report}
    assert "declared" not in without.stages[without.report].params
    assert "declared" not in plan_of(quickstart()).stages[plan_of(quickstart()).report].params


def plan_of(spec: dict[str, Any]) -> Any:
    from tests.unit.specs import resolved

    return plan(resolved(spec))
