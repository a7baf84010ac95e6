"""The instrument finds what is true, in worlds that were made to mislead it."""

from __future__ import annotations

import pytest

from benchmarks.known import DELTA, WORLDS, World, pilot, simulate

ids = [world.name for world in WORLDS]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("world", WORLDS, ids=ids)
def test_coverage_wrong_claims_and_power(world: World) -> None:
    seen = pilot(world, DELTA).smallest_seen(world.prompts, world.seeds, world.alpha)
    for difference in (0.0, DELTA, DELTA + seen):
        out = simulate(world, difference, 10_000)
        assert 92.5 <= out.share("covered") <= 98
        assert out.share("any_wrong") <= 7.5
        if difference != DELTA and not world.labelled:
            parts = pilot(world, difference)
            power = 100 * parts.power(abs(difference - DELTA), world.prompts, world.seeds, world.alpha)
            assert out.share("right") == pytest.approx(power, abs=3)
        if world.longer or world.favours:
            assert out.share("missed") > 50, "a world that misleads nobody would prove less"


@pytest.mark.parametrize("world", WORLDS[:3], ids=ids[:3])
def test_a_few_experiments_of_each_world_already_cover(world: World) -> None:
    out = simulate(world, DELTA, 200)
    assert out.experiments == 200 and out.cells == 200
    assert 90 <= out.share("covered") <= 99.5
