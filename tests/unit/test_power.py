"""What a design can see, before it is run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from services.analyst.intervals import crossed
from shared.power import Components, t_below, t_quantile

DF = (2, 2.7, 5, 20.5, 199, 804, 1e5)


@pytest.mark.parametrize("df", DF)
def test_students_t_is_scipys(df: float) -> None:
    for share in (0.9, 0.975, 0.995, 0.99875):
        assert t_quantile(share, df) == pytest.approx(stats.t.ppf(share, df), rel=1e-5)
    assert t_below(1.3, df) == pytest.approx(stats.t.cdf(1.3, df), abs=1e-7)


@pytest.mark.parametrize("prompts", [30, 200])
@pytest.mark.parametrize("distance", [1.0, 9.0, 20.0])
def test_with_one_seed_power_is_that_of_the_noncentral_t(prompts: int, distance: float) -> None:
    shift = distance / (50 / prompts**0.5)
    expected = stats.nct.sf(stats.t.ppf(0.975, prompts - 1), prompts - 1, shift)
    parts = Components(50.0**2, 0, 0, recipe=False)
    assert parts.power(distance, prompts, 1) == pytest.approx(expected, abs=1e-3)


def test_a_share_that_has_no_quantile_above_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"between \.5 and 1"):
        t_quantile(0.4, 10)


def test_with_many_prompts_the_smallest_seen_is_two_point_eight_standard_errors() -> None:
    parts = Components(prompt=50.0**2, seed=0, residual=0, recipe=False)
    assert parts.smallest_seen(100_000, 1) == pytest.approx(2.8016 * 50 / 100_000**0.5, rel=1e-3)
    assert parts.half_width(100_000, 1) == pytest.approx(1.96 * 50 / 100_000**0.5, rel=1e-3)


@pytest.mark.parametrize(("prompts", "seeds", "seed_sd"), [(60, 1, 0.0), (200, 3, 0.0), (200, 3, 3.0), (200, 5, 3.0)])
def test_the_smallest_seen_is_seen_in_eight_of_ten_simulated_experiments(
    prompts: int, seeds: int, seed_sd: float
) -> None:
    recipe = seeds >= 3
    parts = Components(40.0**2, seed_sd**2, 30.0**2, recipe) if recipe else Components(50.0**2, 0, 0, recipe=False)
    distance = parts.smallest_seen(prompts, seeds)
    rng = np.random.default_rng(0)
    tables = rng.normal(distance, parts.prompt**0.5, (4000, 1, prompts)) + rng.normal(
        0, parts.seed**0.5, (4000, seeds, 1)
    )
    tables = tables + rng.normal(0, parts.residual**0.5, (4000, seeds, prompts))
    seen = float((crossed(tables).bounds()[0] > 0).mean())
    assert seen == pytest.approx(0.8, abs=0.02)
    half = crossed(tables).half_width().mean()
    assert parts.expected_half_width(prompts, seeds) == pytest.approx(half, rel=0.02)


def test_nothing_varies_so_everything_is_seen() -> None:
    parts = Components(0, 0, 0, recipe=True)
    assert parts.half_width(100, 3) == 0
    assert parts.power(0.1, 100, 3) == 1 and parts.power(0.0, 100, 3) == 0
    assert parts.smallest_seen(100, 3) == 0
