"""The contrast corrected with gold labels: true where the judge is not, and narrower than gold alone."""

from __future__ import annotations

import numpy as np
import pytest

from services.analyst.intervals import crossed
from services.analyst.ppi import corrected

TRUTH, BIAS = 3.0, 4.0


def tables(
    count: int, seeds: int, prompts: int, seed_sd: float = 0.0, agree: float = 0.8, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The judge's and the gold differences; the judge adds BIAS, and agrees with gold as far as `agree` says."""
    rng = np.random.default_rng(seed)
    gold = TRUTH + rng.normal(0, seed_sd, (count, seeds, 1)) + rng.normal(0, 40, (count, 1, prompts))
    gold = gold + rng.normal(0, 20, (count, seeds, prompts))
    noise = rng.normal(0, 45, (count, seeds, prompts))
    return TRUTH + BIAS + agree * (gold - TRUTH) + (1 - agree) * noise, gold


def share(prompts: int, m: int, seed: int = 9) -> np.ndarray:
    chosen = np.zeros(prompts, dtype=bool)
    chosen[np.random.default_rng(seed).choice(prompts, m, replace=False)] = True
    return chosen


@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.0), (3, 3.0), (5, 3.0)])
@pytest.mark.parametrize("weight", [None, 1.0])
def test_it_covers_the_gold_truth_where_the_judge_favours_an_arm(
    seeds: int, seed_sd: float, weight: float | None
) -> None:
    judged, gold = tables(2000, seeds, 400, seed_sd)
    chosen = share(400, 100)
    low, high = corrected(judged, gold[..., chosen], chosen, weight).bounds()
    covers = 100 * float(((low <= TRUTH) & (high >= TRUTH)).mean())
    assert 92.5 <= covers <= 98
    low, high = crossed(judged).bounds()
    assert 100 * float(((low <= TRUTH) & (high >= TRUTH)).mean()) < covers - 10, "the uncorrected one misses"


def test_a_good_judge_makes_it_narrower_than_gold_alone_and_a_useless_one_no_wider() -> None:
    chosen = share(805, 100)
    for agree, most in ((0.9, 0.6), (0.0, 1.02)):
        judged, gold = tables(50, 1, 805, agree=agree)
        ours = corrected(judged, gold[..., chosen], chosen).standard_error.mean()
        assert ours < most * crossed(gold[..., chosen]).standard_error.mean()


def test_weight_zero_is_gold_alone() -> None:
    judged, gold = tables(3, 3, 200, 2.0)
    chosen = share(200, 60)
    ours, alone = corrected(judged, gold[..., chosen], chosen, 0.0), crossed(gold[..., chosen])
    assert np.allclose(ours.mean, alone.mean)
    assert np.allclose(ours.variance, alone.variance) and np.allclose(ours.df, alone.df)
    assert np.allclose(ours.p_value(), alone.p_value())


def test_a_judge_who_is_always_right_leaves_the_interval_of_all_prompts() -> None:
    _, gold = tables(20, 1, 400)
    chosen = share(400, 100)
    ours = corrected(gold, gold[..., chosen], chosen)
    assert np.allclose(ours.bias, 0)
    assert np.allclose(ours.standard_error, crossed(gold).standard_error, rtol=0.1)


def test_the_bias_is_what_the_judge_adds() -> None:
    judged, gold = tables(400, 1, 400, agree=1.0)
    chosen = share(400, 100)
    assert np.allclose(corrected(judged, gold[..., chosen], chosen).bias, BIAS)


@pytest.mark.parametrize("m", [9, 399])
def test_too_few_labels_or_others_are_refused(m: int) -> None:
    judged, gold = tables(1, 1, 400)
    chosen = share(400, m)
    with pytest.raises(ValueError, match="at least 10 labelled prompts and 2 others"):
        corrected(judged, gold[..., chosen], chosen)


def test_gold_of_other_prompts_is_refused() -> None:
    judged, gold = tables(1, 1, 400)
    with pytest.raises(ValueError, match="gold has the shape"):
        corrected(judged, gold, share(400, 50))
