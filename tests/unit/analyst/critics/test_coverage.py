"""Over many simulated tables, 95% intervals hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from services.analyst.critics.agreement import agreement, errors
from services.analyst.critics.estimates import Estimate, share
from services.analyst.critics.length import length_slope
from services.analyst.critics.own import self_preference
from services.analyst.critics.position import position
from tests.unit.analyst.critics.simulated import Faults, simulate, table

TABLES = 200
SIZES = ((120, 1), (40, 4))
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


def excess(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine, gold, own = simulate(faults, seed, *size)
    return self_preference(table(mine), own, table(gold), "gold").excess


def unparsable(faults: Faults, seed: int, size: tuple[int, int]) -> Estimate:
    mine = simulate(faults, seed, *size)[0]
    lost = np.array([label.preference is None for label in mine], dtype=np.float64)
    return share(lost, np.ones(len(mine)), [label.prompt_id for label in mine], "pairs")


def kappa_of(faults: Faults) -> float:
    kept, right = 1 - faults.tie, 1 - faults.error
    observed = faults.tie**2 + kept**2 * (right**2 + faults.error**2)
    chance = faults.tie**2 + kept**2 / 2
    return (observed - chance) / (1 - chance)


BIASED, SLIGHT = Faults(first=0.3, tie=0.1), Faults(first=0.05)
CASES: list[tuple[str, Measure, Faults, float]] = [
    ("flips", flips, BIASED, BIASED.flip_rate),
    ("flips, few", flips, SLIGHT, SLIGHT.flip_rate),
    ("first place", first_place, BIASED, BIASED.first_place_rate),
    ("first place, slight", first_place, SLIGHT, SLIGHT.first_place_rate),
    ("slope", slope, Faults(slope=1.0), 1.0),
    ("no slope", slope, Faults(slope=0.0), 0.0),
    ("errors", error, Faults(error=0.15), 0.15),
    ("kappa", kappa, Faults(error=0.1, tie=0.3), kappa_of(Faults(error=0.1, tie=0.3))),
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
