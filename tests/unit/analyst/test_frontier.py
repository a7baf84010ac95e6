"""Cost against quality: what a model costs, which arms nobody beats, and what a gain is worth."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from services.analyst.as_json import to_json
from services.analyst.build import build_report
from services.analyst.frontier import Frontier, Point, Price, prices, undominated
from services.analyst.frontier_figure import apart, frontier_figures
from services.analyst.frontier_page import frontier_view
from services.analyst.model import ReportInputs
from services.analyst.page import to_html
from tests.unit.analyst.fixture import quickstart
from tests.unit.analyst.test_build import inputs_of

HOURS = 17.25 / 3600


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    spec = quickstart(device_hour_usd=3600.0, worth={"usd_per_point": 2.0})
    return inputs_of(tmp_path_factory.mktemp("cache"), spec, usd=0.5)


def priced(inputs: ReportInputs, **spec: Any) -> ReportInputs:
    return replace(inputs, params=inputs.params.model_copy(update={"spec": {**inputs.params.spec, **spec}}))


def test_an_arm_costs_its_calls_and_its_device_hours(whole: ReportInputs) -> None:
    found = prices(whole.params, whole.stages)
    assert found["sft-strong"].alone == pytest.approx(17.25), "one training, at a dollar a second; none of judging"
    assert found["rlaif-weak"].alone == pytest.approx(3 * 17.25 + 0.5), "two trainings, samples, labels"
    assert found["rlaif-weak"].calls == 0.5
    assert found["rlaif-weak"].device_hours == pytest.approx(3 * HOURS)


def test_hours_without_a_price_are_counted_and_cost_nothing(whole: ReportInputs) -> None:
    found = prices(priced(whole, device_hour_usd=None).params, whole.stages)
    assert found["rlaif-weak"].alone == 0.5 and found["rlaif-weak"].device_hours == pytest.approx(3 * HOURS)


def test_what_another_arm_needs_anyway_is_not_marginal(whole: ReportInputs) -> None:
    recipe = whole.params.recipes["rlaif-weak"]
    label = next(key for key in recipe.stages[0] if whole.stages[key].kind == "label")
    shared = whole.params.recipes["sft-strong"].model_copy(
        update={"stages": [[*whole.params.recipes["sft-strong"].stages[0], label]]}
    )
    params = whole.params.model_copy(update={"recipes": {**whole.params.recipes, "sft-strong": shared}})
    before, after = (prices(one, whole.stages)["rlaif-weak"] for one in (whole.params, params))
    assert before.marginal == before.alone, "its start's stages are its own"
    assert after.alone - after.marginal == pytest.approx(0.5)


def test_demonstrations_are_spread_over_base_models_and_labels_are_not(whole: ReportInputs) -> None:
    recipe = whole.params.recipes["rlaif-weak"].stages[0]
    teach = next(key for key in recipe if whole.stages[key].kind == "teach")
    stages = {**whole.stages, teach: replace(whole.stages[teach], usd=6.0)}
    policies: dict[str, dict[str, Any]] = {name: {} for name in ("a", "b", "c")}
    found = prices(priced(whole, policies=policies).params, stages)["rlaif-weak"]
    assert found.reusable == 6.0
    assert found.spread == pytest.approx(found.alone - 6.0 + 2.0)


def test_the_frontier_leaves_out_who_is_dearer_and_no_better() -> None:
    plane = {"cheap": (1.0, 50.0), "dear": (3.0, 60.0), "worse": (3.0, 55.0), "silly": (2.0, 49.0), "twin": (1.0, 50.0)}
    assert [arm for arm in plane if undominated(arm, plane)] == ["cheap", "dear", "twin"]


def test_what_lies_too_near_is_moved_as_little_as_can_be_and_stays_within_its_bounds() -> None:
    alike = {"a": 50.0, "b": 50.0, "c": 50.5, "far": 80.0}
    found = apart(alike, 2.0)
    assert [found[arm] for arm in alike] == pytest.approx([48.17, 50.17, 52.17, 80.0], abs=0.01)
    bounded = apart(alike, 2.0, 49.0, 80.0)
    assert list(bounded.values()) == pytest.approx([49.0, 51.0, 53.0, 80.0], abs=0.2)
    assert list(apart({"a": 9.0, "b": 9.5}, 2.0, 0.0, 10.0).values()) == [8.0, 10.0]
    assert apart({"a": 1.0, "b": 9.0}, 2.0) == {"a": 1.0, "b": 9.0}


def test_twenty_arms_alike_have_labels_that_do_not_touch_and_end_within_the_figure() -> None:
    price = Price(10.0, 10.0, 0.0, 10.0, 10.0, 0.5)
    points = [
        Point(f"an-arm-with-a-rather-long-name-{n}", price, 50 + n / 50, (48.0, 53.0), n == 19) for n in range(20)
    ]
    for drawn in frontier_figures(Frontier("win-rate@0.7", None, 1, tuple(points))):
        width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', drawn).groups())  # type: ignore[union-attr]
        found = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(an-arm[^<]*)<', drawn)
        assert len(found) == 20 and all(re.search(r" 50\.\d$", text) for _, _, text in found)
        heights = sorted(float(y) for _, y, _ in found)
        assert min(b - a for a, b in itertools.pairwise(heights)) >= 13.9
        assert heights[0] > 0 and heights[-1] < height
        # Letters of DejaVu Sans at 11 pixels take 6.1 on average.
        assert all(float(x) + 6.1 * len(text) <= width for x, _, text in found)


def test_points_times_price_less_cost_has_the_points_interval(whole: ReportInputs) -> None:
    made = json.loads(to_json(build_report(whole)))
    net = next(one for one in made["frontier"]["nets"] if one["contrast"] == "headline")
    headline = made["contrasts"]["headline"]["win-rate@0.7"]
    extra = 2 * 17.25 + 0.5
    assert net["extra_cost"] == pytest.approx(extra)
    assert net["estimate"] == pytest.approx(2.0 * headline["estimate"] - extra)
    assert net["interval"] == pytest.approx([2.0 * end - extra for end in headline["interval"]])
    assert "vanishing" not in {one["contrast"] for one in made["frontier"]["nets"]}


def test_delta_from_money_counts_priced_hours(whole: ReportInputs) -> None:
    with_hours, without = (build_report(priced(whole, device_hour_usd=price)) for price in (3600.0, None))
    seconds = {arm.name: 3600 * arm.cost.device_hours for arm in with_hours.arms}
    extra = seconds["rlaif-weak"] - seconds["sft-strong"]
    assert extra > 0 and with_hours.verdict.delta is not None and without.verdict.delta is not None
    assert with_hours.verdict.delta - without.verdict.delta == pytest.approx(extra / 2.0)
    said = [any("have no price" in note.text for note in report.notes) for report in (with_hours, without)]
    assert said == [False, True]


def test_the_page_draws_it_and_says_how_hours_are_priced(whole: ReportInputs) -> None:
    report = build_report(whole)
    html = to_html(report).decode()
    assert "Cost against quality" in html and "A device hour is priced at $3,600.00." in html
    assert html.count('class="frontier"') == 1 and "frontier-wide-title" in html
    free = frontier_view(build_report(priced(whole, device_hour_usd=None)).frontier)
    assert free is not None and "have no price here" in free.hours
    assert frontier_view(None) is None
    partial = build_report(replace(whole, scores={}), partial=True)
    assert partial.frontier is None and "Cost against quality" not in to_html(partial).decode()
