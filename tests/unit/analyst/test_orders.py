"""The primary contrast in each order alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.analyst.as_json import as_dict
from services.analyst.build import build_report
from services.analyst.contrasts import parse_contrasts
from services.analyst.orders import by_order, under_each_order
from services.analyst.page import to_html
from tests.unit.analyst.test_build import inputs_of

CONTRAST = parse_contrasts({"headline": ["x", "y"]})["headline"]


def table(first: list[str | None], second: list[str | None]) -> pa.Table:
    ids = [f"p{place}" for place in range(len(first))]
    return pa.table({"prompt_id": ids, "verdict_ab": first, "verdict_ba": second})


def test_verdicts_are_scores_in_their_order_and_what_cannot_be_read_is_not_valid() -> None:
    found = by_order(table(["a", "tie", "unparsable", None], ["b", "b", "a", "a"]))
    assert found["shown first"].scores[:2].tolist() == [100, 50]
    assert found["shown first"].valid.tolist() == [True, True, False, False]
    assert found["shown second"].scores.tolist() == [0, 0, 100, 100]


def test_an_arm_that_wins_when_shown_first_alone_is_seen() -> None:
    x = by_order(table(["a"] * 6, ["a", "b"] * 3))
    y = by_order(table(["a", "b"] * 3, ["a", "b"] * 3))
    found = under_each_order(CONTRAST, "win-rate", {"x": {0: x}, "y": {0: y}}, 0.05)
    assert (found["shown first"].estimate, found["shown second"].estimate) == (50, 0)


def test_where_one_order_was_asked_there_is_nothing_to_compare() -> None:
    one = by_order(table(["a", "b", "a"], [None, None, None]))
    assert set(one) == {"shown first"}
    assert under_each_order(CONTRAST, "win-rate", {"x": {0: one}, "y": {0: one}}, 0.05) == {}
    assert under_each_order(CONTRAST, "win-rate", {"x": {0: one}}, 0.05) == {}
    assert by_order(pa.table({"prompt_id": ["p"]})) == {}


def test_the_report_shows_both_orders_and_their_mean_is_the_contrast(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    report = build_report(inputs)
    primary = as_dict(report)["contrasts"]["headline"]["win-rate@0.7"]
    both = [primary["orders"][order]["estimate"] for order in ("shown_first", "shown_second")]
    assert np.mean(both) == pytest.approx(primary["estimate"], abs=1.0), "but for prompts valid in one order alone"
    assert "in one order alone" in to_html(report).decode()
    assert as_dict(build_report(replace(inputs, orders={})))["contrasts"]["headline"]["win-rate@0.7"]["orders"] is None
