"""The interval for crossed seeds and prompts, against the contract's formulas written out the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from services.analyst.intervals import crossed


def slow(table: list[list[float]]) -> tuple[float, float, float]:
    """The contract, term by term, in Python loops."""
    seeds, n = len(table), len(table[0])
    d = sum(sum(row) for row in table) / (seeds * n)
    by_seed = [sum(row) / n for row in table]
    by_prompt = [sum(row[i] for row in table) / seeds for i in range(n)]
    vp = sum((x - d) ** 2 for x in by_prompt) / (n - 1) / n
    if seeds < 3:
        return d, vp, n - 1
    vs = sum((x - d) ** 2 for x in by_seed) / (seeds - 1) / seeds
    rest = sum((table[s][i] - by_seed[s] - by_prompt[i] + d) ** 2 for s in range(seeds) for i in range(n))
    r = rest / ((seeds - 1) * (n - 1) * seeds * n)
    v = max(vp + vs - r, vp)
    df = v**2 / (vp**2 / (n - 1) + vs**2 / (seeds - 1) + r**2 / ((n - 1) * (seeds - 1)))
    return d, v, df


@given(seeds=st.integers(1, 6), prompts=st.integers(2, 30), seed_sd=st.floats(0, 20), rng=st.integers(0, 10_000))
def test_agrees_with_the_contract_written_out(seeds: int, prompts: int, seed_sd: float, rng: int) -> None:
    make = np.random.default_rng(rng)
    table = make.normal(0, 30, (seeds, prompts)) + make.normal(0, seed_sd + 1e-3, (seeds, 1))
    found = crossed(table)
    mean, variance, df = slow(table.tolist())
    assert float(found.mean) == pytest.approx(mean, abs=1e-9)
    assert float(found.variance) == pytest.approx(variance)
    assert float(found.df) == pytest.approx(df)
    h = stats.t.ppf(0.975, df) * variance**0.5
    assert [float(x) for x in found.bounds()] == pytest.approx([mean - h, mean + h])
    assert float(found.p_value()) == pytest.approx(2 * stats.t.sf(abs(mean) / variance**0.5, df))


def test_one_seed_is_the_paired_t_test() -> None:
    d = np.random.default_rng(1).normal(2, 30, 80)
    test = stats.ttest_1samp(d, 0)
    found = crossed(d[None])
    assert float(found.p_value()) == pytest.approx(test.pvalue)
    assert [float(x) for x in found.bounds(0.05)] == pytest.approx(list(test.confidence_interval(0.95)))


def test_seeds_that_disagree_widen_the_interval() -> None:
    prompts = np.random.default_rng(2).normal(0, 20, 300)
    alike = np.stack([prompts, prompts, prompts])
    apart = alike + np.array([[-5.0], [0.0], [5.0]])
    assert crossed(apart).half_width() > 3 * crossed(alike).half_width()
    assert crossed(apart).df < 3, "three seeds that carry the error leave about two degrees of freedom"


def test_a_batch_gives_what_its_tables_give_one_by_one() -> None:
    tables = np.random.default_rng(3).normal(1, 10, (7, 3, 40))
    batch = crossed(tables)
    low, high = batch.bounds(0.01)
    for i, table in enumerate(tables):
        assert [float(x) for x in crossed(table).bounds(0.01)] == pytest.approx([low[i], high[i]])


def test_fewer_declared_misses_give_wider_intervals() -> None:
    found = crossed(np.random.default_rng(4).normal(0, 10, (3, 50)))
    assert found.half_width(0.05 / 4) > found.half_width(0.05)


def test_tables_without_variation_have_no_width_and_no_nan() -> None:
    same = crossed(np.full((3, 10), 50.0))
    assert [float(x) for x in (*same.bounds(), same.standard_error, same.p_value())] == [50, 50, 0, 0]
    assert float(crossed(np.zeros((3, 10))).p_value()) == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (0, 5)])
def test_too_small_a_table_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 seed and 2 prompts"):
        crossed(np.zeros(shape))
