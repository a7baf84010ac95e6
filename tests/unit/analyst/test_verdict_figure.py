"""The primary contrast's interval against delta, in the report and on the page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from services.analyst.build import build_report
from services.analyst.model import Report
from services.analyst.page import to_html
from services.analyst.verdict_figure import verdict_figures
from services.analyst.wording import number
from services.api.pages.figures import figures
from tests.unit.analyst.test_build import inputs_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report(inputs_of(tmp_path_factory.mktemp("cache")))


def test_it_is_drawn_for_a_screen_and_a_phone(whole: Report) -> None:
    drawn = figures(to_html(whole))
    result = whole.primary_result
    assert result is not None
    told = drawn["verdict-wide"].text
    assert number(result.estimate) in told and number(result.decision_interval[1]) in told
    for name in ("verdict-wide", "verdict-narrow"):
        root = ET.fromstring(drawn[name].svg)
        places = [float(node.get(at, 0)) for node in root.iter() for at in ("x", "x1", "x2", "cx") if node.get(at)]
        assert len(places) > 12 and min(places) >= 0 and max(places) <= drawn[name].width


def test_without_a_delta_there_is_nothing_to_draw(whole: Report) -> None:
    assert verdict_figures(replace(whole, verdict=replace(whole.verdict, delta=None))) == []
