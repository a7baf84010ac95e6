"""Ratings and their intervals: right where the truth is known, and careful where there is little to go by."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.analyst.arena.ratings import BASE, SCALE, Ratings, rate
from services.analyst.intervals import crossed
from tests.unit.analyst.arena.worlds import World, battles_of

DATA = Path(__file__).resolve().parents[5] / "shared" / "data" / "alpaca_eval"


def rated(world: World, seed: int = 0, resamples: int = 200) -> Ratings:
    found = rate(world.draw(np.random.default_rng([7, seed])), resamples, seed)
    assert found is not None
    return found


def coverage(world: World, tables: int) -> tuple[float, float]:
    """How often 95% intervals hold the truth, in percent: of ratings, and of differences to the first arm."""
    truth = world.truth()
    arms = len(truth)
    ratings = np.eye(arms)
    hits = np.zeros((tables, 2, arms))
    for table in range(tables):
        found = rated(world, table)
        for kind, weights in enumerate((ratings, ratings - ratings[0])):
            for place in range(kind, arms):
                low, high = found.interval(weights[place]).bounds()
                hits[table, kind, place] = low <= weights[place] @ truth <= high
    return float(100 * hits[:, 0].mean()), float(100 * hits[:, 1, 1:].mean())


def test_intervals_hold_the_truth_in_a_small_world() -> None:
    of_ratings, of_differences = coverage(World(prompts=100), tables=100)
    assert 90 <= of_ratings <= 99 and 90 <= of_differences <= 99


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "world",
    [
        World(),
        World(seeds=3, by_seed=0.2),
        World(seeds=5, by_seed=0.0),
        World(per_prompt=3, prompts=300),
        World(strengths=(-2.5, 0.0, 0.4, 2.1), prompts=200),
        World(prompts=60, tied=0.4),
    ],
    ids=["plain", "seeds that differ", "seeds alike", "three pairs a prompt", "far apart", "few prompts, many ties"],
)
def test_intervals_hold_the_truth_as_often_as_they_say(world: World) -> None:
    of_ratings, of_differences = coverage(world, tables=600)
    assert 92.5 <= of_ratings <= 98 and 92.5 <= of_differences <= 98


def test_the_bootstrap_and_the_influence_of_prompts_agree() -> None:
    """Two ways to the same variance: refits of resamples, and the infinitesimal jackknife."""
    found = rated(World(prompts=400, seeds=2), resamples=2000)
    for weights in np.eye(5):
        table = np.einsum("a,asn->sn", weights, found.influence)
        assert table.mean() == pytest.approx(weights @ found.estimates, abs=1e-6)
        assert float(found.interval(weights).by_prompt) == pytest.approx(float(crossed(table).by_prompt), rel=0.15)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike, apart = (rated(World(seeds=4, by_seed=sd, prompts=300)).interval(np.eye(5)[0]) for sd in (0.0, 0.6))
    assert apart.standard_error > 1.5 * alike.standard_error
    assert apart.df < 10


def test_ratings_have_a_mean_of_a_thousand_and_400_points_are_ten_to_one() -> None:
    wins = np.repeat([100.0, 0.0], [1000, 100])[None, :]
    found = rate(battles_of(("a", "b"), {("a", "b"): wins}), resamples=50)
    assert found is not None
    assert found.estimates.mean() == pytest.approx(BASE)
    assert found.estimates[0] - found.estimates[1] == pytest.approx(400, abs=1)


def test_all_ties_are_a_thousand_each_without_an_error() -> None:
    ties = np.full((2, 30), 50.0)
    found = rate(battles_of(("a", "b", "c"), {("a", "b"): ties, ("a", "c"): ties, ("b", "c"): ties}), resamples=50)
    assert found is not None and found.estimates == pytest.approx(BASE)
    assert float(found.interval(np.eye(3)[0]).standard_error) == pytest.approx(0, abs=1e-6)
    assert not found.held.any() and not found.misfit.beyond


def test_one_prompt_has_no_ratings() -> None:
    assert rate(battles_of(("a", "b"), {("a", "b"): np.array([[100.0]])})) is None


def test_an_arm_that_never_wins_has_a_finite_rating_and_is_flagged() -> None:
    rng = np.random.default_rng(0)
    even = np.where(rng.random((1, 80)) < 0.5, 100.0, 0.0)
    lost = np.full((1, 80), 100.0)
    found = rate(battles_of(("a", "b", "c"), {("a", "b"): even, ("a", "c"): lost, ("b", "c"): lost}), resamples=100)
    assert found is not None and found.held.tolist() == [False, False, True]
    error = found.interval(np.eye(3)[2])
    assert np.isfinite(error.bounds()).all() and float(error.mean) < 700


def test_arms_that_were_not_compared_are_not_on_one_scale() -> None:
    scores = np.where(np.random.default_rng(0).random((1, 40)) < 0.6, 100.0, 0.0)
    none = np.full((1, 40), np.nan)
    pairs = {("a", "b"): scores, ("c", "d"): scores, ("a", "c"): none}
    found = rate(battles_of(("a", "b", "c", "d"), pairs), resamples=50)
    assert found is not None
    a, b, c, d = np.eye(4)
    assert found.comparable(a - b) and found.comparable(c - d) and not found.comparable(a - c)
    assert found.comparable((a - b) - (c - d)) and not found.comparable((a - c) - (d - b))


def test_a_pair_that_is_not_as_its_ratings_say_is_named() -> None:
    """Rock, paper, scissors beside a fair arm: each rating is even, and no pair of the three is."""
    won, lost, even = (np.full((1, 60), score) for score in (90.0, 10.0, 50.0))
    pairs = {("r", "p"): lost, ("r", "s"): won, ("p", "s"): lost}
    found = rate(battles_of(("r", "p", "s"), pairs), resamples=50)
    assert found is not None and found.estimates == pytest.approx(BASE, abs=1e-6)
    assert found.misfit.points == pytest.approx(40) and found.misfit.beyond
    fair = rate(battles_of(("r", "p", "s"), dict.fromkeys(pairs, even)), resamples=50)
    assert fair is not None and fair.misfit.points == pytest.approx(0, abs=1e-9)


def test_a_judgement_that_one_seed_lacks_counts_for_none_and_is_dropped_for_both_arms() -> None:
    scores = np.full((3, 20), 75.0)
    scores[1, 4] = np.nan
    battles = battles_of(("a", "b", "c"), {("a", "b"): scores, ("b", "c"): np.full((3, 20), 25.0)})
    assert battles.dropped == (1, 1, 0) and battles.total == 20
    assert battles.prompts_of(0) == 19 and battles.prompts_of(1) == 20


def test_ratings_are_the_same_whatever_the_order_of_arms_in_a_pair() -> None:
    world = World(prompts=80)
    battles = world.draw(np.random.default_rng(5))
    turned = replace(battles, sides=battles.sides[:, ::-1], shares=1 - battles.shares)
    one, other = rate(battles, 60), rate(turned, 60)
    assert one is not None and other is not None
    assert one.estimates == pytest.approx(other.estimates, abs=1e-6)
    assert one.resampled == pytest.approx(other.resampled, abs=1e-3)


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_gpt_4s_recorded_judgements_rank_ten_models_as_their_published_win_rates_do() -> None:
    """Every model met one opponent alone, text_davinci_003; AlpacaEval counts ties half too, and published these."""
    labels = pq.read_table(DATA / "preferences_gpt4.parquet").to_pandas()
    with (DATA / "published_win_rates.csv").open() as file:
        published = {row["model"]: float(row["win_rate"]) for row in csv.DictReader(file)}
    labels["share"] = (labels["preference"].replace(0, 1.5) - 1) * 100
    table = labels.pivot(index="generator_2", columns="id", values="share")
    pairs = {(model, "text_davinci_003"): table.loc[model].to_numpy(dtype=float)[None, :] for model in table.index}
    found = rate(battles_of((*table.index, "text_davinci_003"), pairs), resamples=100)
    assert found is not None
    ratings = dict(zip(found.battles.arms, found.estimates, strict=True))
    ranked = sorted(published, key=published.__getitem__)
    assert sorted(published, key=ratings.__getitem__) == ranked
    for model, rate_of in published.items():
        above = SCALE * np.log(rate_of / (100 - rate_of))
        assert ratings[model] - ratings["text_davinci_003"] == pytest.approx(above, abs=3)
