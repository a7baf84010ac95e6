"""Controlled beside raw, with intervals; and a figure that is not to be trusted says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.length_control import World
from services.analyst.contrasts import Contrast
from services.analyst.intervals import crossed
from services.analyst.length_control import Controlled, LengthTable, length_controlled
from services.analyst.length_control.bootstrap import crossed_from
from services.analyst.power import needed

WORLD = World(prompts=150, levels=(-0.8, 0.1, 0.9), slopes=(1.0, 1.4, 1.2), longer=(-0.2, 0.1, 0.3))
GAIN = Contrast("gain", ((1, "arm-2"), (-1, "arm-1")))


def table(seed: int = 0, world: World = WORLD) -> LengthTable:
    return world.table(np.random.default_rng(seed))


def with_wins(given: LengthTable, arm: int, wins: float | np.ndarray) -> LengthTable:
    changed = given.preferences.copy()
    changed[arm] = wins
    return replace(given, preferences=changed)


def codes(found: Controlled, arm: str | None = None) -> set[str]:
    return {one.code for one in found.concerns if one.arm == arm}


def test_arms_have_raw_controlled_and_their_difference_with_intervals() -> None:
    given = table()
    found = length_controlled(given, resamples=200)
    assert found.trusted and all(arm.trusted for arm in found.arms)
    for at, arm in enumerate(found.arms):
        assert float(arm.raw.mean) == pytest.approx(given.raw[at, 0])
        assert float(arm.change.mean) == pytest.approx(float(arm.controlled.mean - arm.raw.mean))
        low, high = arm.controlled.bounds()
        assert low < arm.controlled.mean < high
    assert found.arm("arm-2").length_ratio > found.arm("arm-0").length_ratio
    with pytest.raises(KeyError):
        found.arm("arm-9")


def test_the_raw_interval_is_the_contract_s() -> None:
    """The bootstrap's variance of a mean is the sample's, but for chance between resamples."""
    given = table()
    found = length_controlled(given, resamples=1000)
    for at, arm in enumerate(found.arms):
        expected = crossed(100 * given.preferences[at])
        assert float(arm.raw.standard_error) == pytest.approx(float(expected.standard_error), rel=0.06)
        assert float(arm.raw.df) == expected.df


def test_seeds_enter_the_interval_as_the_contract_has_it() -> None:
    rng = np.random.default_rng(3)
    scores = 50 + rng.normal(0, 20, (1, 200)) + rng.normal(0, 4, (4, 1)) + rng.normal(0, 15, (4, 200))
    weights = rng.multinomial(200, np.full(200, 1 / 200), 4000)
    found, expected = crossed_from(scores.mean(axis=1), weights @ scores.T / 200, 200), crossed(scores)
    assert float(found.standard_error) == pytest.approx(float(expected.standard_error), rel=0.03)
    assert float(found.df) == pytest.approx(float(expected.df), rel=0.15)
    assert float(found.residual) == pytest.approx(float(expected.residual), rel=0.15)


def test_the_same_table_and_seed_give_the_same_answer() -> None:
    one, other = (length_controlled(table(), resamples=50, seed=1) for _ in range(2))
    assert np.array_equal(one.resampled, other.resampled)


def test_a_contrast_of_an_arm_with_a_longer_one_shrinks_and_carries_the_fit_s_uncertainty() -> None:
    world = replace(WORLD, prompts=600, levels=(0.0, 0.0, 0.0), slopes=(2.0, 2.0, 2.0), longer=(0.0, -0.3, 0.6))
    beside = length_controlled(table(world=world), resamples=150).contrast(GAIN, delta=2.0)
    assert beside.raw.bounds()[0] > 2
    assert abs(float(beside.controlled.mean)) < 8
    assert beside.disagree
    assert beside.length_ratio == pytest.approx(np.exp(0.9), rel=0.1)
    assert float(beside.controlled.standard_error) > float(beside.raw.standard_error)
    assert needed(beside.controlled, 2.0) is not None, "what the verdict asks of an interval works on it"


def test_a_contrast_that_length_has_no_part_in_does_not_disagree() -> None:
    world = replace(WORLD, prompts=600, levels=(0.0, -0.5, 1.0), slopes=(0.0,) * 3, longer=(0.0,) * 3)
    assert not length_controlled(table(world=world), resamples=100).contrast(GAIN, delta=2.0).disagree


def test_a_difference_of_differences_is_one_of_figures() -> None:
    found = length_controlled(table(), resamples=50)
    both = Contrast("vanishing", ((1, "arm-2"), (-1, "arm-0"), (-1, "arm-1"), (1, "arm-0")))
    beside = found.contrast(both)
    assert float(beside.controlled.mean) == pytest.approx(float(found.contrast(GAIN).controlled.mean))
    with pytest.raises(KeyError):
        found.contrast(Contrast("none", ((1, "arm-2"), (-1, "arm-9"))))


def test_a_raw_contrast_is_over_the_prompts_that_both_arms_have() -> None:
    given = table()
    gaps = given.preferences.copy()
    gaps[1, 0, :60], gaps[2, 0, 120:] = np.nan, np.nan
    found = length_controlled(replace(given, preferences=gaps), resamples=20)
    common = 100 * given.preferences[..., 60:120]
    assert float(found.contrast(GAIN).raw.mean) == pytest.approx(common[2].mean() - common[1].mean())
    assert found.contrast(GAIN).raw.prompts == 60


def test_resamples_that_have_none_of_a_contrast_s_prompts_are_left_out_of_its_error() -> None:
    given = table()
    gaps = given.preferences.copy()
    gaps[1, 0, 3:], gaps[1, 0, :3] = np.nan, [0.0, 1.0, 0.5]
    beside = length_controlled(replace(given, preferences=gaps), resamples=200).contrast(GAIN)
    assert beside.raw.prompts == 3 and np.isfinite(beside.raw.standard_error)


@pytest.mark.parametrize("method", ["joint", "alpaca_eval_minimal"])
@pytest.mark.parametrize(("wins", "figure"), [(1.0, 100.0), (0.0, 0.0)])
def test_an_arm_that_wins_or_loses_always_is_at_the_end_and_not_trusted(
    method: str, wins: float, figure: float
) -> None:
    found = length_controlled(with_wins(table(), 0, wins), method, resamples=20)  # type: ignore[arg-type]
    assert float(found.arms[0].controlled.mean) == pytest.approx(figure, abs=0.5)
    assert not found.arms[0].trusted and "separation" in codes(found, "arm-0")
    assert found.arms[1].trusted and found.arms[2].trusted


def test_an_always_winning_arm_hardly_moves_the_others() -> None:
    given = table()
    alone = LengthTable.of(given.arms[1:], given.preferences[1:], given.lengths[1:], given.reference_lengths)
    beside = length_controlled(with_wins(given, 0, 1.0), resamples=2).estimates[1:]
    assert np.abs(beside - length_controlled(alone, resamples=2).estimates).max() < 1.5


def test_an_arm_whose_wins_length_separates_is_not_trusted() -> None:
    given = table()
    longer = given.lengths > given.reference_lengths
    found = length_controlled(replace(given, preferences=longer.astype(float)), resamples=5)
    assert {"arm-0", "arm-1", "arm-2"} <= {one.arm for one in found.concerns if one.code == "separation"}


def test_too_few_wins_too_few_prompts_and_no_overlap_are_said() -> None:
    rare = np.zeros((1, 150))
    rare[0, :4] = 1
    assert "few_decided" in codes(length_controlled(with_wins(table(), 0, rare), resamples=5), "arm-0")
    assert "few_decided" in codes(length_controlled(with_wins(table(), 1, 0.5), resamples=5), "arm-1")
    assert "few_prompts" in codes(length_controlled(table(world=replace(WORLD, prompts=12)), resamples=5))
    longer = replace(WORLD, longer=(3.0, 0.0, 0.0))
    found = length_controlled(table(world=longer), resamples=5)
    assert "no_overlap" in codes(found, "arm-0") and not found.arms[0].trusted and found.arms[1].trusted


def test_an_arm_without_judgements_has_no_figure_and_the_others_keep_theirs() -> None:
    given = table()
    found = length_controlled(with_wins(given, 1, np.nan), resamples=20)
    assert np.isnan(found.arms[1].controlled.mean) and "not_judged" in codes(found, "arm-1")
    others = LengthTable.of(
        [given.arms[0], given.arms[2]], given.preferences[[0, 2]], given.lengths[[0, 2]], given.reference_lengths
    )
    np.testing.assert_allclose(found.estimates[[0, 2]], length_controlled(others, resamples=2).estimates, atol=0.3)
    with pytest.raises(ValueError, match="fewer than two prompts"):
        found.contrast(GAIN)


def test_one_arm_alone_is_allowed_and_said() -> None:
    given = table()
    one = LengthTable.of(["arm-2"], given.preferences[2:], given.lengths[2:], given.reference_lengths)
    found = length_controlled(one, resamples=50)
    assert "one_arm" in codes(found) and found.trusted


def test_equal_lengths_change_nothing_and_are_said() -> None:
    given = table()
    equal = replace(given, lengths=np.broadcast_to(given.reference_lengths, given.lengths.shape).copy())
    found = length_controlled(equal, resamples=50)
    assert "equal_lengths" in codes(found)
    for arm in found.arms:
        assert float(arm.change.mean) == pytest.approx(0, abs=1e-3)
        assert float(arm.change.standard_error) < 0.01
        assert not arm.disagree


def test_a_fit_that_does_not_converge_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.analyst.length_control.joint.ITERATIONS", 2)
    found = length_controlled(table(), resamples=5)
    assert {"not_converged", "resamples_not_converged"} <= codes(found)
    assert not found.trusted


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"preferences": np.full((2, 1, 4), 1.5)}, "1..2 go through"),
        ({"lengths": np.full((2, 1, 4), np.nan)}, "lengths: a judged completion"),
        ({"lengths": np.full((2, 1, 4), -1.0)}, "below zero"),
        ({"reference_lengths": np.ones(3)}, "do not fit"),
        ({"arms": ["a", "a"]}, "different names"),
    ],
)
def test_tables_that_make_no_sense_are_refused_by_name(change: dict[str, object], says: str) -> None:
    good: dict[str, object] = {
        "arms": ["a", "b"],
        "preferences": np.full((2, 1, 4), 0.5),
        "lengths": np.ones((2, 1, 4)),
        "reference_lengths": np.ones(4),
    }
    with pytest.raises(ValueError, match=says):
        LengthTable.of(**{**good, **change})  # type: ignore[arg-type]
