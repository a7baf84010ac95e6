"""The sizes that an inconclusive verdict names: they do what it says, and one fewer does not."""

from __future__ import annotations

import numpy as np
import pytest

from services.analyst.intervals import Crossed, crossed
from services.analyst.power import Needed, components
from services.analyst.power import needed as maybe_needed


def table(
    seeds: int, prompts: int, prompt_sd: float = 20.0, seed_sd: float = 0.0, rest_sd: float = 10.0, seed: int = 0
) -> Crossed:
    rng = np.random.default_rng(seed)
    effects = rng.normal(0, prompt_sd, prompts) + rng.normal(0, seed_sd, (seeds, 1))
    return crossed(effects + rng.normal(0, rest_sd, (seeds, prompts)))


def needed(error: Crossed, delta: float) -> Needed:
    found = maybe_needed(error, delta)
    assert found is not None
    return found


def test_the_components_give_back_the_half_width_that_was_measured() -> None:
    error = table(5, 200, seed_sd=3)
    assert components(error).half_width(200, 5, 0.05) == pytest.approx(float(error.half_width()))


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_the_named_number_of_prompts_is_the_smallest(seeds: int) -> None:
    error = table(seeds, 60)
    wanted = needed(error, delta=3.0)
    parts = components(error)
    assert wanted.prompts is not None
    assert parts.half_width(wanted.prompts, seeds, 0.05) <= 2.1 < parts.half_width(wanted.prompts - 1, seeds, 0.05)


def test_a_run_of_the_named_size_reaches_the_goal_or_nearly() -> None:
    wanted = needed(table(3, 100, seed_sd=1), delta=4.0)
    assert wanted.prompts is not None
    again = [float(table(3, wanted.prompts, seed_sd=1, seed=s).half_width()) for s in range(1, 40)]
    assert float(np.median(again)) == pytest.approx(2.8, rel=0.25)


def test_the_named_number_of_seeds_is_the_smallest() -> None:
    error = table(3, 400, seed_sd=4)
    wanted = needed(error, delta=3.0)
    parts = components(error)
    assert wanted.prompts is None, "no number of prompts takes away what differs between seeds"
    assert wanted.seeds is not None
    assert parts.half_width(400, wanted.seeds, 0.05) <= 2.1 < parts.half_width(400, wanted.seeds - 1, 0.05)


def test_where_neither_alone_can_a_mixture_is_named() -> None:
    error = table(3, 30, prompt_sd=30, seed_sd=12, rest_sd=30, seed=2)
    wanted = needed(error, delta=3.0)
    assert (wanted.prompts, wanted.seeds) == (None, None)
    assert wanted.both is not None
    n, seeds = wanted.both
    assert n > 30 and seeds > 3
    assert components(error).half_width(n, seeds, 0.05) <= 2.1


def test_one_seed_knows_nothing_of_other_seeds() -> None:
    wanted = needed(table(1, 50), delta=3.0)
    assert wanted.seeds is None and not wanted.seeds_known


def test_nothing_is_needed_where_the_interval_is_narrow_enough_or_delta_is_zero() -> None:
    error = table(3, 400)
    assert maybe_needed(error, delta=100.0) is None
    assert maybe_needed(error, delta=0.0) is None
