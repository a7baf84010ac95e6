"""The bootstrap over prompts: its distribution, its intervals, and what the report says of them."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from services.analyst.as_json import as_dict
from services.analyst.bootstrap import BLOCK, bca, check, draws, percentile, resampled_means
from services.analyst.build import build_report
from services.analyst.page import to_html
from tests.unit.analyst.test_build import inputs_of


def skewed(n: int = 40, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 0.8, (n, 1))


def test_every_draw_has_as_many_prompts_as_there_are() -> None:
    counts = np.concatenate(list(draws(37, 500, np.random.default_rng(0))))
    assert counts.shape == (500, 37)
    assert (counts.sum(axis=1) == 37).all()
    assert counts.var(axis=0).mean() == pytest.approx(36 / 37, rel=0.1)


def test_columns_share_their_draws_so_that_differences_stay_paired() -> None:
    values = np.random.default_rng(2).normal(50, 20, (300, 2))
    values[:, 1] = values[:, 0] + 3
    means = resampled_means(values, 2000)
    assert np.allclose(means[:, 1] - means[:, 0], 3, atol=1e-4)


def test_the_means_vary_as_the_textbook_says() -> None:
    values = 25.0 * np.random.default_rng(3).integers(0, 5, (200, 3))
    means = resampled_means(values, 20_000)
    assert np.allclose(means.mean(axis=0), values.mean(axis=0), atol=0.1)
    assert np.allclose(means.std(axis=0), values.std(axis=0) / 200**0.5, rtol=0.03)


def test_the_same_seed_gives_the_same_means_and_another_gives_others() -> None:
    values = skewed()
    assert (resampled_means(values, 300) == resampled_means(values, 300)).all()
    assert (resampled_means(values, 300) != resampled_means(values, 300, seed=1)).any()


def test_intervals_agree_with_scipys() -> None:
    values = skewed()
    means = resampled_means(values, 200_000)
    for method, ours in (("percentile", percentile(means)), ("BCa", bca(values, means))):
        theirs = stats.bootstrap(
            (values[:, 0],), np.mean, n_resamples=200_000, method=method, rng=np.random.default_rng(5)
        ).confidence_interval
        half = (theirs.high - theirs.low) / 2
        assert abs(ours[0][0] - theirs.low) < 0.03 * half, method
        assert abs(ours[1][0] - theirs.high) < 0.03 * half, method


def test_bca_covers_a_skewed_mean_better_than_percentiles_do() -> None:
    truth, hits = np.exp(0.5), {"percentile": 0, "bca": 0}
    for seed in range(400):
        values = np.random.default_rng([7, seed]).lognormal(0, 1, (30, 1))
        means = resampled_means(values, 2000, seed)
        for name, (low, high) in (("percentile", percentile(means)), ("bca", bca(values, means))):
            hits[name] += int(low[0] <= truth <= high[0])
    assert hits["bca"] > hits["percentile"]


def test_a_symmetric_table_gets_the_t_interval() -> None:
    table = np.random.default_rng(4).normal(2, 30, (3, 400))
    found = check(table)
    assert found.apart < 0.1
    assert found.t[0] < table.mean() < found.t[1]


def test_one_wild_prompt_is_seen() -> None:
    table = np.random.default_rng(4).normal(0, 1, (1, 40))
    table[0, 0] = 60
    assert check(table).apart > 0.3


def test_scores_that_are_all_the_same_have_an_interval_of_no_width() -> None:
    found = check(np.full((1, 30), 50.0))
    assert found.percentile == found.bca == found.t == (50.0, 50.0)
    assert found.apart == 0


def test_one_prompt_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least 2 prompts"):
        check(np.ones((3, 1)))


def test_memory_is_bounded_by_the_block_and_the_result() -> None:
    values = np.random.default_rng(6).normal(size=(805, 20))
    tracemalloc.start()
    resampled_means(values, 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * BLOCK + 8 * 10_000 * 20


def test_the_report_checks_the_primary_and_says_whether_they_agree(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    report = build_report(inputs)
    found = as_dict(report)["contrasts"]
    assert [(c, e) for c, of in found.items() for e, one in of.items() if "bootstrap" in one] == [
        ("headline", "win-rate@0.7")
    ]
    primary = found["headline"]["win-rate@0.7"]
    assert primary["bootstrap"]["resamples"] == 10_000
    assert primary["bootstrap"]["t"] == pytest.approx(primary["decision_interval"]), "one seed: the same interval"
    assert primary["bootstrap"]["bca"] == pytest.approx(primary["decision_interval"], abs=0.6)
    assert "10,000 resamples, BCa" in to_html(report).decode() and "They agree." in to_html(report).decode()


def test_a_partial_report_without_the_primary_has_no_bootstrap(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    scores = {name: of for name, of in inputs.scores.items() if name != ("sft-strong", "win-rate@0.7")}
    report = build_report(replace(inputs, scores=scores), partial=True)
    assert report.bootstrap is None
    assert "bootstrap" not in to_html(report).decode()
