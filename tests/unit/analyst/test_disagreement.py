"""The contrast over the factors of a matrix: effects that were put in come out, with intervals that cover them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from services.analyst.disagreement import Disagreement, disagreement, levels_of
from services.analyst.scores import Aligned

POLICY = {"a": -3.0, "b": 0.0, "c": 3.0}
JUDGE = {"x": 1.0, "y": -1.0}
CRITIC = {f"c{n}": 4.0 * (n - 2) for n in range(5)}
EFFECTS = {"policy": POLICY, "judge": JUDGE, "critic": CRITIC}


def cells(
    names: list[dict[str, str]], seeds: int = 1, prompts: int = 300, seed: int = 0, drop: int = 0
) -> dict[str, tuple[Aligned, np.ndarray]]:
    """Differences of 2 points on the whole, with every level's effect, and prompts that all cells share."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 20, prompts)
    found = {}
    for number, cell in enumerate(names):
        mean = 2.0 + sum(EFFECTS.get(name, {}).get(level, 0.0) for name, level in cell.items())
        d = mean + shared + rng.normal(0, 10, (seeds, prompts))
        kept = np.arange(drop * number, prompts)
        ids = np.array([f"p{i:04}" for i in kept])
        aligned = Aligned(("A", "B"), tuple(range(seeds)), ids, np.zeros((2, seeds, len(kept))), {}, prompts)
        found[",".join(f"{name}={level}" for name, level in cell.items())] = (aligned, d[:, kept])
    return found


WHOLE = [{"policy": policy, "judge": judge} for policy, judge in product(POLICY, JUDGE)]


def made(found: Disagreement | None) -> Disagreement:
    assert found is not None
    return found


def test_the_effects_that_were_put_in_come_out() -> None:
    found = made(disagreement(cells(WHOLE, prompts=4000)))
    effects = {factor.name: {one.level: one.estimate for one in factor.levels} for factor in found.factors}
    for name in ("policy", "judge"):
        assert effects[name] == pytest.approx(EFFECTS[name], abs=0.6)
        assert sum(effects[name].values()) == pytest.approx(0, abs=1e-9)
    assert found.factors[0].spread == pytest.approx(6, abs=1)
    assert found.factors[0].sd is None, "three levels say nothing of a spread between levels"
    assert found.left < 0.6


@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_cover_the_effects_and_shared_prompts_make_them_narrow(seeds: int) -> None:
    hits = []
    for seed in range(200):
        found = made(disagreement(cells(WHOLE, seeds, 100, seed)))
        for factor in found.factors:
            hits += [
                low <= EFFECTS[factor.name][one.level] <= high for one in factor.levels for low, high in [one.interval]
            ]
    # Seeds that do not differ make the contract's interval a little too wide.
    assert 0.925 <= np.mean(hits) <= (0.98 if seeds == 1 else 0.99)
    assert found.factors[1].levels[0].standard_error < 0.5 < (found.interval[1] - found.interval[0]) / 4


def test_two_factors_that_change_together_are_named_and_get_no_effects() -> None:
    twins = [{"policy": "a", "judge": "x"}, {"policy": "b", "judge": "y"}]
    found = made(disagreement(cells(twins)))
    assert {factor.name: factor.confounded for factor in found.factors} == {"policy": ("judge",), "judge": ("policy",)}
    assert not any(factor.levels for factor in found.factors)
    both = (found.mean, *found.interval)
    assert all(np.isfinite(both))


def test_a_factor_with_one_level_is_none() -> None:
    one = [{"policy": policy, "judge": "x"} for policy in POLICY]
    assert [factor.name for factor in made(disagreement(cells(one))).factors] == ["policy"]


def test_of_five_levels_the_sd_between_them_is_said() -> None:
    (factor,) = made(disagreement(cells([{"critic": critic} for critic in CRITIC], prompts=2000))).factors
    assert factor.sd == pytest.approx(np.std(list(CRITIC.values()), ddof=1), rel=0.1)


def test_prompts_that_a_cell_lacks_are_left_out_of_all() -> None:
    found = made(disagreement(cells(WHOLE, prompts=300, drop=10)))
    assert found.prompts == 300 - 10 * (len(WHOLE) - 1)


def test_nothing_is_said_of_one_cell_or_of_different_seeds() -> None:
    whole = cells(WHOLE)
    first = dict(list(whole.items())[:1])
    assert disagreement(first) is None and disagreement({}) is None
    other = cells(WHOLE[1:2], seeds=2)
    assert disagreement(first | other) is None


def test_a_cells_name_gives_its_levels() -> None:
    assert levels_of("policy=llama-7b,fraction=0.1") == {"policy": "llama-7b", "fraction": "0.1"}
