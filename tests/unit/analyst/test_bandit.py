"""The bandit shows the paper's mechanism, and no more than it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.analyst.bandit import Bandit, Settings, bandit, imitated, learned_reward, policy, preferred, rlaif
from services.analyst.bandit_figure import bandit_figure, description

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "data" / "paper_results.json"
QUICK = Settings(steps=1500, rate=0.05)
"""As far a descent as the paper's, in fewer steps."""


@pytest.fixture(scope="module")
def found() -> Bandit:
    return bandit(QUICK)


def test_policies_are_distributions_and_the_teacher_is_better(found: Bandit) -> None:
    for one in (found.weak, found.strong, found.sft, found.weak_start.policy, found.strong_start.policy):
        assert one.min() >= 0 and one.sum() == pytest.approx(1)
    assert [int(found.weak.argmax()), int(found.strong.argmax())] == [40, 80]
    assert found.value(found.strong) > found.value(found.weak) + 0.3


def test_rlaif_improves_on_the_weak_student_and_ends_below_sft_on_the_strong_teacher(found: Bandit) -> None:
    assert found.gain_weak > 0.08
    assert found.headline < -0.1


def test_the_learned_reward_is_right_where_the_student_goes_and_wrong_where_it_does_not(found: Bandit) -> None:
    reward = found.weak_start.reward
    assert (np.diff(reward[30:48]) > 0).all()
    assert 45 < reward.argmax() < 65
    assert reward[90] < reward[50] and abs(reward[95]) < 0.05


def test_the_deficit_goes_as_the_student_nears_the_teacher() -> None:
    headlines = [bandit(replace(QUICK, weak=centre)).headline for centre in (40, 60, 80)]
    assert headlines[0] < headlines[1] < headlines[2]
    assert headlines[0] < 0 < headlines[2]


def test_a_strong_start_gains_as_much_and_less_only_at_the_best_action(found: Bandit) -> None:
    assert found.gain_strong == pytest.approx(found.gain_weak, abs=0.03)
    at_the_end = bandit(replace(QUICK, strong=99))
    assert 0 < at_the_end.gain_strong < found.gain_strong - 0.02


def test_a_strong_penalty_keeps_the_policy_at_its_start(found: Bandit) -> None:
    tied = rlaif(found.weak, replace(QUICK, beta=1e6), np.random.default_rng(0))
    np.testing.assert_allclose(tied.policy, found.weak, atol=1e-4)


def test_a_start_that_never_leaves_one_action_teaches_nothing() -> None:
    start = np.array([1e-300, 1.0, 1e-300])
    wins = preferred(start, 1000, np.random.default_rng(0))
    assert not wins.any() and not learned_reward(wins, 100, 0.1).any()


def test_preferred_counts_the_higher_action_once() -> None:
    wins = preferred(np.full(4, 0.25), 100_000, np.random.default_rng(0))
    assert not np.triu(wins).any()
    assert wins.sum() == pytest.approx(0.75, abs=0.01)


def test_the_reward_is_the_bradley_terry_maximum_where_there_is_one() -> None:
    """With noisy wins it exists: log-odds of each pair's share."""
    wins = np.array([[0.0, 0.2], [0.3, 0.0]])
    reward = learned_reward(wins, 4000, 0.5)
    assert reward[1] - reward[0] == pytest.approx(np.log(0.3 / 0.2), abs=1e-6)


def test_sft_ends_at_the_shares_it_imitates_if_it_goes_on_long_enough() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(imitated(shares, 5000, 0.1), shares, atol=1e-6)
    np.testing.assert_allclose(imitated(shares, 0, 0.1), 1 / 3)


def test_the_same_seed_gives_the_same_answer_and_another_nearly(found: Bandit) -> None:
    assert np.array_equal(bandit(QUICK).weak_start.policy, found.weak_start.policy)
    assert bandit(QUICK, seed=1).headline == pytest.approx(found.headline, abs=0.02)


@pytest.mark.parametrize("wrong", [{"beta": 0.0}, {"actions": 1}, {"pairs": 0}, {"width": -1.0}])
def test_settings_that_make_no_bandit_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="bandit: "):
        bandit(replace(QUICK, **wrong))  # type: ignore[arg-type]


def test_the_figure_names_its_lines_and_says_its_numbers(found: Bandit) -> None:
    drawn = bandit_figure(found, at="x-")
    for label in ("weak student", "strong teacher", "SFT", "RLAIF", "true, scaled"):
        assert label in drawn
    assert 'aria-labelledby="x-bandit-wide-title' in drawn and "var(--series-1)" in drawn
    assert description(found) in drawn and "0.40" in description(found)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared/data is not here")
def test_the_defaults_are_the_paper_s_settings() -> None:
    published = json.loads(PUBLISHED.read_text())["bandit_experiment"]
    settings = Settings()
    assert published["actions"] == settings.actions
    assert f"(exp(-(a-{settings.strong:g})^2/{settings.width:g}), normalised)" in published["strong_teacher"]
    assert f"around action {settings.weak:g}" in published["weak_student"]
    assert f"exp(learned reward / {settings.beta:g})" in published["rlaif_policy"]


def test_the_paper_s_own_settings_give_its_finding() -> None:
    found = bandit()
    assert found.value(found.weak) < found.value(found.weak_start.policy) < found.value(found.sft) - 0.1
    assert policy(found.settings, 80).argmax() == 80
