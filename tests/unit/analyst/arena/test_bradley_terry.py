"""Strengths are those that other code finds, and stay finite where there is no maximum of the likelihood."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from services.analyst.arena.bradley_terry import PRIOR, fit, groups, held
from services.analyst.intervals import Floats


def design_of(arms: int) -> tuple[Floats, np.ndarray]:
    sides = np.array(list(combinations(range(arms), 2)))
    design = np.zeros((len(sides), arms))
    design[np.arange(len(sides)), sides[:, 0]] = 1
    design[np.arange(len(sides)), sides[:, 1]] = -1
    return design, sides


def made_up(arms: int, seed: int, games: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    played = rng.integers(1, games, arms * (arms - 1) // 2).astype(float)
    return played * rng.random(len(played)).round(2), played


@pytest.mark.parametrize(("arms", "games"), [(2, 50), (4, 5), (6, 300), (20, 40)])
def test_it_is_at_the_maximum_that_a_general_optimiser_finds(arms: int, games: int) -> None:
    design, _ = design_of(arms)
    wins, played = made_up(arms, arms, games)

    def loss(at: np.ndarray) -> float:
        x = design @ at
        likelihood = (wins * log_expit(x) + (played - wins) * log_expit(-x)).sum()
        return float(-likelihood + (at**2).sum() / 2 / PRIOR**2)

    found = fit(design, wins, played)
    there = minimize(loss, np.zeros(arms), method="BFGS", options={"maxiter": 10_000}).x
    assert found.converged
    assert found.strengths == pytest.approx(there, abs=2e-4)
    assert found.strengths.sum() == pytest.approx(0, abs=1e-9)


def test_without_a_prior_it_is_statsmodels_binomial_glm() -> None:
    design, _ = design_of(5)
    wins, played = made_up(5, 3, 60)
    theirs = GLM(np.column_stack([wins, played - wins]), design[:, :-1], family=Binomial()).fit()
    strengths = np.append(theirs.params, 0.0)
    unheld = fit(design, 1e7 * wins, 1e7 * played)
    assert unheld.strengths == pytest.approx(strengths - strengths.mean(), abs=1e-5)
    assert fit(design, wins, played).strengths == pytest.approx(unheld.strengths, abs=0.02)


def test_with_many_comparisons_the_prior_does_not_matter() -> None:
    design, _ = design_of(4)
    truth = np.array([-0.9, -0.1, 0.2, 0.8])
    games = np.full(len(design), 300.0)
    wins = games / (1 + np.exp(-design @ truth))
    assert fit(design, wins, games).strengths == pytest.approx(truth, abs=1e-3)


def test_a_batch_gives_each_what_it_would_get_alone() -> None:
    design, _ = design_of(5)
    tables = [made_up(5, seed, 30) for seed in range(7)]
    wins, played = (np.stack(both) for both in zip(*tables, strict=True))
    together = fit(design, wins, played)
    for row in range(7):
        assert together.strengths[row] == pytest.approx(fit(design, wins[row], played[row]).strengths, abs=1e-8)


def test_an_arm_that_never_wins_is_finite_and_held_by_the_prior() -> None:
    design, sides = design_of(3)
    wins, games = np.array([30.0, 100.0, 100.0]), np.full(3, 100.0)
    found = fit(design, wins, games)
    assert found.converged and np.isfinite(found.strengths).all()
    assert -8 < found.strengths[2] < -2 and found.strengths[2] == found.strengths.min()
    assert held(sides, wins, games, 3).tolist() == [False, False, True]


def test_who_wins_by_turns_is_held_by_nobody() -> None:
    """Rock, paper, scissors: everyone is beaten, so there is a maximum, and all are as strong."""
    design, sides = design_of(3)
    wins, games = np.array([10.0, 0.0, 10.0]), np.full(3, 10.0)
    assert fit(design, wins, games).strengths == pytest.approx(0, abs=1e-9)
    assert not held(sides, wins, games, 3).any()


def test_a_strict_ladder_is_held_whole() -> None:
    _, sides = design_of(3)
    games = np.full(3, 10.0)
    assert held(sides, games, games, 3).all()


def test_all_ties_are_equal_strengths() -> None:
    design, sides = design_of(4)
    games = np.full(len(design), 50.0)
    assert fit(design, games / 2, games).strengths == pytest.approx(0, abs=1e-12)
    assert not held(sides, games / 2, games, 4).any()


def test_arms_that_were_never_compared_are_of_different_groups_with_a_mean_of_their_own() -> None:
    design, sides = design_of(4)
    games = np.array([20.0, 0, 0, 0, 0, 20.0])
    wins = np.array([15.0, 0, 0, 0, 0, 8.0])
    assert groups(sides, games, 4).tolist() == [0, 0, 1, 1]
    found = fit(design, wins, games).strengths
    assert found[:2].sum() == pytest.approx(0, abs=1e-9) and found[2:].sum() == pytest.approx(0, abs=1e-9)
    assert not held(sides, wins, games, 4).any()
