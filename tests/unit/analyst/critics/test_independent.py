"""The card's numbers against others' computations of the same, and against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import t as student
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from services.analyst.critics.agreement import agreement, errors
from services.analyst.critics.estimates import mean_difference, share
from services.analyst.critics.labels import Label
from services.analyst.critics.length import length, length_slope
from services.analyst.critics.position import position
from tests.unit.analyst.critics.simulated import Faults, label, simulate, table

SAID = (1.0, 0.5, 0.0)
"""Preferences for a: it wins, a tie, b wins."""


def two(counts: list[list[int]]) -> tuple[list[Label], list[Label]]:
    """Two labellers' labels with this table of what they said (rows: the one, columns: the other)."""
    one: list[Label] = []
    other: list[Label] = []
    for row, some in enumerate(counts):
        for column, count in enumerate(some):
            for _ in range(count):
                at = len(one)
                one.append(Label(f"p{at}", f"a{at}", f"b{at}", SAID[row]))
                other.append(Label(f"p{at}", f"a{at}", f"b{at}", SAID[column]))
    return one, other


def test_kappa_is_cohen_s() -> None:
    # 20 and 15 of 50 agree: observed .7, by chance .5.
    one, other = two([[20, 0, 5], [0, 0, 0], [10, 0, 15]])
    found = agreement(table(one), table(other), "other", False, False)
    assert found is not None and found.agree.value == pytest.approx(0.7) and found.kappa.value == pytest.approx(0.4)


@pytest.mark.parametrize(
    "counts", [[[300, 40, 60], [30, 90, 20], [50, 10, 400]], [[700, 5, 100], [0, 9, 0], [40, 2, 90]]]
)
def test_kappa_s_error_is_fleiss_cohen_and_everitt_s_where_every_pair_has_a_prompt_of_its_own(
    counts: list[list[int]],
) -> None:
    one, other = two(counts)
    found = agreement(table(one), table(other), "other", False, False)
    assert found is not None and found.kappa.interval is not None and found.kappa.value is not None
    theirs = cohens_kappa(np.array(counts, dtype=float))
    assert found.kappa.value == pytest.approx(theirs.kappa)
    low, high = (1 - end for end in found.kappa.interval)
    t = student.ppf(0.975, len(one) - 1)
    error = (1 - found.kappa.value) * np.log(low / high) / (2 * t)
    assert error == pytest.approx(theirs.std_kappa, rel=0.01)


def test_kappa_goes_by_sides_and_not_by_texts() -> None:
    """A critic that always names the first side knows nothing, however often that side is right."""
    one, other = two([[90, 0, 10], [0, 0, 0], [0, 0, 0]])
    turned = [Label(x.prompt_id, f"z{x.a}", x.b, x.preference) if at % 2 else x for at, x in enumerate(one)]
    theirs = [Label(x.prompt_id, y.a, y.b, x.preference) for x, y in zip(other, turned, strict=True)]
    found = agreement(table(turned), table(theirs), "other", False, False)
    assert found is not None and found.kappa.value == pytest.approx(0.0)
    round_about = [Label(x.prompt_id, x.b, x.a, 1 - (x.preference or 0)) for x in theirs]
    same = agreement(table(turned), table(round_about), "other", False, False)
    assert same is not None and same.agree.value == found.agree.value


def test_a_share_s_interval_is_wilson_s_where_every_pair_has_a_prompt_of_its_own() -> None:
    hits = np.array([1.0] * 120 + [0.0] * 1880)
    found = share(hits, np.ones(2000), [str(place) for place in range(2000)], "pairs")
    assert found.interval == pytest.approx(proportion_confint(120, 2000, method="wilson"), abs=3e-4)


def test_pairs_of_a_prompt_that_are_alike_count_as_one() -> None:
    hits, ids = np.array([1.0] * 30 + [0.0] * 70), [f"p{place}" for place in range(100)]
    once = share(hits, np.ones(100), ids, "pairs")
    often = share(np.repeat(hits, 8), np.ones(800), [one for one in ids for _ in range(8)], "pairs")
    assert often.value == once.value and (often.n, often.prompts) == (800, 100)
    assert often.interval == pytest.approx(once.interval)
    one, other = two([[30, 0, 10], [0, 0, 0], [10, 0, 50]])
    several = [
        [Label(x.prompt_id, f"{x.a}{n}", f"{x.b}{n}", x.preference) for x in some for n in range(8)]
        for some in (one, other)
    ]
    alone = agreement(table(one), table(other), "other", False, False)
    many = agreement(table(several[0]), table(several[1]), "other", False, False)
    assert alone is not None and many is not None and many.kappa.interval == pytest.approx(alone.kappa.interval)


def test_a_mean_s_error_is_that_of_a_regression_with_errors_clustered_by_prompt() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    values = rng.normal(size=40)[groups] + rng.normal(size=200)
    found = mean_difference(values, [f"p{group}" for group in groups], "pairs")
    fit = OLS(values, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert found.value == pytest.approx(fit.params[0]) and found.interval == pytest.approx(tuple(fit.conf_int()[0]))


def test_the_slope_is_the_likeliest_one() -> None:
    mine = simulate(Faults(slope=0.8), 3, 300)[0]
    x = np.array([np.log2(len(one.a) / len(one.b)) for one in mine])
    y = np.array([one.preference for one in mine])
    best = minimize(lambda slope: np.logaddexp(0, -np.where(y == 1, 1, -1) * slope[0] * x).sum(), [0.0])
    assert length_slope(mine).value == pytest.approx(best.x[0], abs=1e-4)


def test_a_better_side_that_is_longer_is_not_taken_for_length() -> None:
    """The one side wins four of five, whatever the lengths; it is the longer one on the whole."""
    rng = np.random.default_rng(1)
    mine = []
    for place in range(600):
        a = f"{place}".ljust(round(64 * 2 ** rng.normal(0.8, 0.5)), "a")
        mine.append(Label(f"p{place}", a, f"{place}".ljust(64, "b"), float(rng.random() < 0.8), sides="judged"))
    found = length_slope(mine)
    assert found.interval is not None and found.interval[0] < 0 < found.interval[1]
    blind = length_slope([Label(one.prompt_id, one.a, one.b, one.preference) for one in mine])
    assert blind.interval is not None and blind.interval[0] > 0.5
    always = [Label(f"q{one.prompt_id}", one.a, one.b, 1.0, sides="given") for one in mine]
    assert length_slope([*mine, *always]).value == pytest.approx(found.value), "these say nothing of length"


def test_lengths_fall_into_the_bins_that_they_are_said_to() -> None:
    pairs = {(10, 11): 1.1, (4, 5): 1.25, (2, 3): 1.5, (5, 10): 2.0, (3, 12): 4.0, (0, 7): 4.0, (100, 101): 1.0}
    for (short, long), low in pairs.items():
        found = length([Label("p", "x" * long, "y" * short, 1.0)])
        assert [one.low for one in found.bins if one.pairs] == [low]


def test_flips_and_first_places_are_what_one_counts() -> None:
    said = [("a", "a"), ("b", "b"), ("a", "b"), ("a", "tie"), ("tie", "tie"), ("a", "unparsable")]
    mine = [label(f"p{place}", f"a{place}", f"b{place}", *said[place % 6]) for place in range(60)]
    found = position(mine)
    assert found.flip_rate.value == pytest.approx(10 / 50) and found.flip_rate.n == 50
    # Shown first and named: by aa one of two, bb one of two, ab both, a-tie one of one, a-unparsable one of one.
    assert found.first_place_rate.value == pytest.approx(60 / 80) and found.first_place_rate.n == 80


def test_errors_are_wrong_winners_and_ties_apart() -> None:
    gold = [Label(f"p{place}", f"a{place}", f"b{place}", 1.0 if place < 40 else 0.5) for place in range(50)]
    given = [1.0] * 20 + [0.0] * 10 + [0.5] * 10 + [1.0] * 10
    mine = [Label(one.prompt_id, one.b, one.a, 1 - said) for one, said in zip(gold, given, strict=True)]
    found = errors(table(mine), table(gold), "gold")
    assert found.rate.value == pytest.approx(10 / 30) and found.rate.n == 30
    assert found.ties.value == pytest.approx(10 / 40) and found.ties.n == 40
