"""The bootstrap interval covers a known truth as often as it says; benchmarks.length_control has the whole table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.length_control import WORLDS, World, coverage


def test_it_covers_in_a_small_world() -> None:
    world = World(prompts=120, levels=(-0.8, 0.1, 0.9), slopes=(0.8, 1.2, 1.0), longer=(-0.2, 0.1, 0.3))
    out = coverage(world, tables=40, resamples=60)
    assert out.arms >= 89 and out.contrasts >= 89
    assert abs(out.bias) < 1.5
    assert out.claimed == pytest.approx(out.spread, rel=0.25)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name in WORLDS if name != "805 prompts"])
def test_it_covers_in_every_world(name: str) -> None:
    out = coverage(WORLDS[name], tables=120, resamples=100)
    assert 92 <= out.arms <= 98.5 and 92 <= out.contrasts <= 98.5
    assert abs(out.bias) < 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_seeds_that_are_not_counted_would_be_missed() -> None:
    """With two seeds the interval is over prompts alone, and seeds that differ put the recipe's truth outside it."""
    world = replace(WORLDS["3 seeds that differ"], seeds=2, seed_sd=0.6)
    assert coverage(world, tables=100).arms < 90
