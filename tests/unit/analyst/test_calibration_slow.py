"""The interval covers the truth as often as it says, in worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration import BASELINE, VARIED, Judge, Setting, full_grid, grid, measure, tables, world


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", grid(), ids=lambda s: f"difference{s.difference:g}-n{s.prompts}-S{s.seeds}-sd{s.seed_sd:g}"
)
def test_coverage_and_false_claims(setting: Setting) -> None:
    out = measure(setting, count=10_000)
    assert 92.5 <= out.covers <= 98
    assert out.rl_adds_value <= 7.5 and out.sft_suffices <= 7.5
    assert out.rl_adds_value + out.sft_suffices <= 7.5
    assert out.ties > 10, "a world without ties would prove less"


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.25, 0.5])
def test_coverage_over_the_full_grid(correlation: float) -> None:
    settings = [one for one in full_grid() if (one.correlation, one.prompts) == (correlation, 200)]
    found = [measure(setting, count=1000, judge=VARIED).covers for setting in settings]
    assert 94 <= np.mean(found) <= 96
    # Of three seeds that differ by five points, 91.5%: the degrees of freedom are then too many. 2.5 is three errors.
    assert min(found) >= 91.5 - 2.5 and max(found) <= 99


@pytest.mark.parametrize(("correlation", "baseline"), [(0.0, 50.0), (0.25, 10.0), (0.5, 88.0)])
def test_arms_correlate_as_the_setting_says(correlation: float, baseline: float) -> None:
    setting = Setting(4000, 1, 0.0, 0.0, baseline, correlation, 0.8)
    judge = world(VARIED, correlation, baseline, 0.8)
    scores, _ = tables(setting, judge, 10, np.random.default_rng(3))
    assert np.corrcoef(scores[:, 0].ravel(), scores[:, 1].ravel())[0, 1] == pytest.approx(correlation, abs=0.03)
    assert scores.mean() == pytest.approx(baseline, abs=1)


@pytest.mark.parametrize("seed_sd", [0.0, 4.0])
def test_the_closed_form_truth_is_the_mean_of_the_simulated_scores(seed_sd: float) -> None:
    rng = np.random.default_rng(0)
    scores, truth = tables(Setting(prompts=400, seeds=3, seed_sd=seed_sd, difference=5.0), Judge(), 1500, rng)
    by_table = scores.mean(axis=(2, 3), dtype=np.float64)
    error = by_table.std(axis=0) / len(by_table) ** 0.5
    assert np.abs(by_table.mean(axis=0) - [BASELINE + 5, BASELINE]).max() < 4 * error.max()
    assert np.abs((by_table[:, 0] - by_table[:, 1]).mean() - truth[0]) < 4 * error.max()


def test_seeds_differ_by_as_many_points_as_the_setting_says() -> None:
    judge = Judge()
    latent_sd = judge.seed_sd(4.0)
    centre = judge.latent_of(np.array(BASELINE), latent_sd**2)
    means = judge.mean_score(centre + latent_sd * np.random.default_rng(1).standard_normal(200_000))
    assert means.std() == pytest.approx(4.0, abs=0.05)
    assert means.mean() == pytest.approx(BASELINE, abs=0.05)


def test_arms_are_correlated_over_prompts() -> None:
    scores, _ = tables(Setting(prompts=5000, seeds=1, seed_sd=0.0), Judge(), 1, np.random.default_rng(2))
    assert np.corrcoef(scores[0, 0, 0], scores[0, 1, 0])[0, 1] > 0.15
    assert set(np.unique(scores)) == {0, 25, 50, 75, 100}
