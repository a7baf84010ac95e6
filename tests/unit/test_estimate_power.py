"""The dry run says what the primary contrast will be able to see, and warns where that is not delta."""

from __future__ import annotations

from dataclasses import replace

import pytest
from touchstone_client.estimate import sees

from shared.estimate.power import SCORE_SD, Design, Pilot, assumed, design_of, forecast
from shared.power import Components
from shared.spec.parse import parse_spec
from tests.unit.specs import spec_with

COUNTS = {"train": 100, "dev": 10, "eval": 200}
DESIGN = Design("headline", "win-rate@0.7", "points", 200, 1, 0.05, 2.0, "x")


def test_two_hundred_prompts_see_about_ten_points_at_the_papers_errors() -> None:
    found = forecast(DESIGN)
    assert found is not None
    assert SCORE_SD.expected == pytest.approx(48.9, abs=0.1)
    # 1.96 and 2.80 times sqrt(2 * .8) * 48.9 / sqrt(200), a little more for t.
    assert found["half_width"] == pytest.approx(8.62, abs=0.02)
    assert found["smallest_gain"] == pytest.approx(12.3, abs=0.05)
    assert found["half_width_range"] == pytest.approx([7.26, 8.82], abs=0.02)
    assert found["delta_in_reach"] is False
    assert found["prompts_needed"] == pytest.approx(200 * (8.62 / 1.4) ** 2, rel=0.02)


def test_at_the_papers_own_size_it_gives_the_papers_standard_error_for_a_difference() -> None:
    v = assumed(1)["expected"].prompt / 800
    assert v**0.5 == pytest.approx((2 * 0.8) ** 0.5 * 1.73)


def test_seeds_cost_degrees_of_freedom_and_their_variance_is_no_matter_of_prompts() -> None:
    one, three, ten = (forecast(replace(DESIGN, prompts=805, seeds=seeds)) for seeds in (1, 3, 10))
    assert one and three and ten
    assert one["half_width"] < three["half_width"], "three seeds tell of the recipe, and know little of it"
    assert ten["half_width"] < three["half_width"]
    assert three["prompts_needed"] is None


def test_a_big_delta_is_in_reach_and_one_from_costs_is_not_known() -> None:
    assert (forecast(replace(DESIGN, delta=15.0)) or {})["delta_in_reach"] is True
    unknown = forecast(replace(DESIGN, delta=None))
    assert unknown is not None and unknown["delta_in_reach"] is None and unknown["prompts_needed"] is None


def test_an_earlier_experiments_variances_are_used_with_their_own_uncertainty() -> None:
    pilot = Pilot("e1", Components(900.0, 0.0, 0.0, recipe=False), 50, 1)
    found = forecast(DESIGN, pilot)
    assert found is not None and found["experiment"] == "e1"
    assert found["half_width"] == pytest.approx(1.97 * 30 / 200**0.5, rel=0.01)
    low, high = found["half_width_range"]
    assert low < 0.9 * found["half_width"] and high > 1.1 * found["half_width"]


def test_a_pilot_of_one_seed_leaves_the_variance_between_seeds_assumed() -> None:
    pilot = Pilot("e1", Components(900.0, 0.0, 0.0, recipe=False), 50, 1)
    found, known = (
        forecast(replace(DESIGN, seeds=3), one)
        for one in (pilot, Pilot("e2", Components(900.0, 0.0, 0.0, recipe=True), 50, 3))
    )
    assert found and known and found["half_width"] > known["half_width"]


def test_scores_that_are_no_points_have_a_forecast_from_a_pilot_alone() -> None:
    design = replace(DESIGN, unit="nats", delta=0.01)
    assert forecast(design) is None
    assert forecast(design, Pilot("e1", Components(0.01, 0.0, 0.0, recipe=False), 50, 1)) is not None


def test_the_design_comes_from_the_spec_and_cells_and_looks_share_the_misses() -> None:
    design = design_of(parse_spec(spec_with(looks=2, seeds=[0, 1, 2])), COUNTS)
    assert (design.contrast, design.evaluation, design.prompts, design.seeds) == ("headline", "win-rate@0.7", 200, 3)
    assert (design.alpha, design.delta) == (0.025, 2.0)
    priced = design_of(parse_spec(spec_with(worth={"usd_per_point": 50})), COUNTS)
    assert priced.delta is None
    matrix = design_of(parse_spec(spec_with(matrix={"fractions": [0.1, 0.2, 0.3, 0.4]})), COUNTS)
    assert matrix.alpha == 0.05 / 4 and matrix.likeness is None


def test_experiments_are_alike_whatever_their_size_names_and_limits() -> None:
    small = design_of(parse_spec(spec_with(prompts__eval=20, seeds=[3, 4], name="other")), COUNTS)
    again = design_of(parse_spec(spec_with()), COUNTS)
    assert small.likeness == again.likeness
    other = design_of(parse_spec(spec_with(models__critic__error_rate=0.2)), COUNTS)
    colder = design_of(parse_spec(spec_with(primary__evaluation="win-rate@0.0")), COUNTS)
    assert len({again.likeness, other.likeness, colder.likeness}) == 3


def test_the_terminal_says_it_and_warns() -> None:
    found = forecast(DESIGN)
    assert found is not None
    said, warning = sees(found)
    assert said.startswith(
        "headline under win-rate@0.7, 200 prompts × 1 seed: an interval of ±8.6 (7.3 to 8.8) points;"
    )
    assert "the smallest gain seen in 80% of such experiments is 12.3 (10.4 to 12.6), from the published" in said
    assert warning.startswith("warning: delta, 2 points, is out of reach") and "7,511 prompts" in warning
    assert len(sees({**found, "delta_in_reach": True})) == 1
    assert "prompts alone cannot" in sees({**found, "prompts_needed": None})[1]
