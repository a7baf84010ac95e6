"""Over many simulated tables, 95% intervals hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from services.analyst.critics.agreement import agreement, errors
from services.analyst.critics.estimates import Estimate, share
from services.analyst.critics.length import length, length_slope
from services.analyst.critics.own import self_preference
from services.analyst.critics.position import position
from tests.unit.analyst.critics.simulated import Faults, simulate, table
from tests.unit.analyst.critics.test_card import labeller, only

TABLES = 200
SIZES = ((120, 1), pytest.param((40, 4), marks=pytest.mark.slow))
"""Prompts, and pairs of each."""

Measure = Callable[[Faults, int, tuple[int, int]], Estimate]


def flips(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    return position(simulate(faults, seed, *size)[0]).flip_rate


def first_place(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    return position(simulate(faults, seed, *size)[0]).first_place_rate


def slope(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    return length_slope(simulate(faults, seed, *size)[0])


def error(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine, gold, _ = simulate(faults, seed, *size)
    return errors(table(mine), table(gold), "gold").rate


def kappa(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    """Of two critics with the same faults, about the same pairs."""
    one, other = (table(simulate(faults, 2 * seed + who, *size, truth_seed=seed)[0]) for who in (0, 1))
    found = agreement(one, other, "other", gold=False, recorded=False)
    assert found is not None
    return found.kappa


def unequal_kappa(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    """Of one with these faults, and one that errs and leaves ties as `OTHER` does."""
    one = table(simulate(faults, 2 * seed, *size, truth_seed=seed)[0])
    other = table(simulate(OTHER, 2 * seed + 1, *size, truth_seed=seed)[0])
    found = agreement(one, other, "other", gold=False, recorded=False)
    assert found is not None
    return found.kappa


def longer(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    return length(simulate(faults, seed, *size)[0]).win_rate


def one_order(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    """Every pair is shown in one order, drawn by chance."""
    drawn = np.random.default_rng([seed, 9])
    mine = [
        replace(one, ba=None, asked="ab") if drawn.random() < 0.5 else replace(one, ab=None, asked="ba")
        for one in simulate(faults, seed, *size)[0]
    ]
    return position(mine).first_place_rate


def ties(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine = simulate(faults, seed, *size)[0]
    return only(labeller("critic", mine)).ties


def left_open(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine, gold, _ = simulate(faults, seed, *size)
    return errors(table(mine), table(gold), "gold").ties


def excess(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine, gold, own = simulate(faults, seed, *size)
    return self_preference(table(mine), own, table(gold), "gold").excess


def unparsable(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine = simulate(faults, seed, *size)[0]
    lost = np.array([label.preference is None for label in mine], dtype=np.float64)
    return share(lost, np.ones(len(mine)), [label.prompt_id for label in mine], "pairs")


def kappa_of(one: Faults, other: Faults | None = None) -> float:
    """Of critics that err and leave ties independently of each other."""
    other = other or one
    kept, tied = (1 - one.tie) * (1 - other.tie), one.tie * other.tie
    alike = (1 - one.error) * (1 - other.error) + one.error * other.error
    chance = tied + kept / 2
    return (tied + kept * alike - chance) / (1 - chance)


def partial_kappa(own: float) -> float:
    """Of two that prefer the first side for its own sake with this chance, else name the better one, so that the first
    side wins more often."""
    first = own + (1 - own) / 2
    observed = 0.5 + (own**2 + (1 - own) ** 2) / 2
    chance = first**2 + (1 - first) ** 2
    return (observed - chance) / (1 - chance)


def longer_of(slope: float) -> float:
    """How often the longer one wins: the mean over the doublings that `simulate` draws."""
    doublings = np.abs(np.random.default_rng(0).normal(0, np.hypot(0.7, 0.7), 200_000))
    return float(np.mean(1 / (1 + np.exp(-slope * doublings))))


OTHER = Faults(error=0.2, tie=0.05)
BIASED, SLIGHT = Faults(first=0.3, tie=0.1), Faults(first=0.05)
CASES: list[tuple[str, Measure, Faults, float]] = [
    ("flips", flips, BIASED, BIASED.flip_rate),
    ("flips, few", flips, SLIGHT, SLIGHT.flip_rate),
    ("first place", first_place, BIASED, BIASED.first_place_rate),
    ("first place, slight", first_place, SLIGHT, SLIGHT.first_place_rate),
    ("slope", slope, Faults(slope=1.0), 1.0),
    ("no slope", slope, Faults(slope=0.0), 0.0),
    ("longer", longer, Faults(slope=1.0), longer_of(1.0)),
    ("first place, one order", one_order, BIASED, BIASED.first_place_rate),
    ("ties", ties, Faults(tie=0.2), 0.2),
    ("left open", left_open, Faults(tie=0.2, error=0.2), 0.2),
    ("errors", error, Faults(error=0.15), 0.15),
    ("kappa", kappa, Faults(error=0.1, tie=0.3), kappa_of(Faults(error=0.1, tie=0.3))),
    ("kappa of unlike ones", unequal_kappa, Faults(tie=0.5), kappa_of(Faults(tie=0.5), OTHER)),
    ("kappa, one side ahead", kappa, Faults(own=0.6), partial_kappa(0.6)),
    ("high kappa", kappa, Faults(error=0.01), kappa_of(Faults(error=0.01))),
    # Either side is the better one as often, so half of the fifth that is for its own sake would have won anyway.
    ("own", excess, Faults(own=0.2), 0.1),
    ("unparsable", unparsable, Faults(unreadable=0.05), 0.05),
]


@pytest.mark.parametrize("size", SIZES, ids=["a pair a prompt", "four a prompt"])
@pytest.mark.parametrize(("name", "measure", "faults", "truth"), CASES, ids=[case[0] for case in CASES])
def test_intervals_hold_the_truth(
    name: str, measure: Measure, faults: Faults, truth: float, size: tuple[int, int]
) -> None:
    found = [measure(faults, seed, size) for seed in range(TABLES)]
    intervals = [one.interval for one in found if one.interval is not None]
    assert len(intervals) > 0.95 * TABLES
    held = sum(low <= truth <= high for low, high in intervals) / len(intervals)
    assert 0.90 <= held <= 0.99, held
    assert np.mean([one.value for one in found if one.value is not None]) == pytest.approx(truth, abs=0.03)


def test_a_critic_that_never_flips_still_has_an_error() -> None:
    found = position(simulate(Faults(), 0, 120)[0])
    assert (
        found.flip_rate.value == 0 and found.flip_rate.interval is not None and 0 < found.flip_rate.interval[1] < 0.05
    )
    assert found.first_place_rate.value == 0.5 and found.first_place_rate.interval is not None
    low, high = found.first_place_rate.interval
    assert 0.47 < low < 0.5 < high < 0.53
