"""The joint GLM: it finds its own maximum, chooses its strengths as it says, and does not care for orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from benchmarks.length_control import World
from services.analyst.length_control import LengthTable, joint
from services.analyst.length_control.table import Floats

WORLD = World(prompts=60, levels=(-0.8, 0.1, 0.9), slopes=(0.5, 1.5, 1.0), longer=(-0.2, 0.1, 0.3))


def table(seed: int = 0, world: World = WORLD) -> LengthTable:
    return world.table(np.random.default_rng(seed))


def fitted(of: LengthTable, weights: Floats | None = None) -> joint.Fits:
    return joint.fit(of, np.ones((1, of.prompts)) if weights is None else weights, joint.start(of))


def figures(of: LengthTable) -> Floats:
    return np.asarray(joint.figures(of, np.ones((1, of.prompts)), fitted(of))[0])


def picked(of: LengthTable, arms: list[int], prompts: ArrayLike) -> LengthTable:
    which = np.asarray(prompts, dtype=int)
    return LengthTable.of(
        [of.arms[a] for a in arms],
        of.preferences[arms][..., which],
        of.lengths[arms][..., which],
        of.reference_lengths[which],
    )


def test_it_is_where_a_general_optimiser_ends() -> None:
    given = table(seed=3)
    found = fitted(given)
    sigma, tau = float(found.sigma[0]), float(found.tau[0])
    arms = len(given.arms)

    x, y = given.covariate[:, 0], given.preferences[:, 0]

    def loss(at: Floats) -> tuple[float, Floats]:
        intercepts, slopes, gamma = at[:arms], at[arms : 2 * arms], at[2 * arms :]
        linear = intercepts[:, None] + slopes[:, None] * x + gamma
        centred = slopes - slopes.mean()
        fit = float((y * log_expit(linear) + (1 - y) * log_expit(-linear)).sum())
        away = expit(linear) - y
        gradient = [away.sum(axis=1), (away * x).sum(axis=1) + centred / tau**2, away.sum(axis=0) + gamma / sigma**2]
        return float((gamma**2).sum() / 2 / sigma**2 + (centred**2).sum() / 2 / tau**2) - fit, np.concatenate(gradient)

    best = minimize(loss, np.zeros(2 * arms + given.prompts), jac=True, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found.intercepts[0, :, 0], best.x[:arms], atol=2e-3)
    np.testing.assert_allclose(found.slopes[0], best.x[arms : 2 * arms], atol=2e-3)
    np.testing.assert_allclose(found.difficulties[0], best.x[2 * arms :], atol=2e-3)


def test_strengths_are_fixed_points_of_fellner_and_schall_with_the_whole_hessian() -> None:
    given = table(seed=4, world=replace(WORLD, prompts=150, slopes=(0.0, 2.0, 4.0), ties=0.0))
    found = fitted(given)
    arms, prompts = len(given.arms), given.prompts
    assert joint.LEAST < found.sigma[0] < joint.MOST and joint.LEAST < found.tau[0] < joint.MOST
    linear = found.intercepts[0] + found.slopes[0][:, None] * given.covariate[:, 0] + found.difficulties[0]
    curvature = expit(linear) * expit(-linear)
    columns = np.zeros((arms * prompts, 2 * arms + prompts))
    for a in range(arms):
        rows = slice(a * prompts, (a + 1) * prompts)
        columns[rows, a] = 1
        columns[rows, arms + a] = given.covariate[a, 0]
        columns[rows, 2 * arms :] = np.eye(prompts)
    hessian = columns.T @ (curvature.ravel()[:, None] * columns)
    centring = np.eye(arms) - 1 / arms
    hessian[arms : 2 * arms, arms : 2 * arms] += centring / found.tau[0] ** 2
    hessian[2 * arms :, 2 * arms :] += np.eye(prompts) / found.sigma[0] ** 2
    inverse = np.linalg.inv(hessian)
    gamma_freedom = prompts - np.trace(inverse[2 * arms :, 2 * arms :]) / found.sigma[0] ** 2
    slope_freedom = arms - 1 - np.trace(inverse[arms : 2 * arms, arms : 2 * arms] @ centring) / found.tau[0] ** 2
    slopes = found.slopes[0] - found.slopes[0].mean()
    assert (found.difficulties[0] ** 2).sum() / gamma_freedom == pytest.approx(found.sigma[0] ** 2, rel=0.01)
    assert (slopes**2).sum() / slope_freedom == pytest.approx(found.tau[0] ** 2, rel=0.02)


def test_it_is_close_to_the_exact_marginal_likelihood() -> None:
    """Difficulties integrated out by quadrature, slopes free: sigma is smaller by Laplace, the figures are not."""
    world = replace(WORLD, prompts=150, slopes=(0.0, 2.0, 4.0), ties=0.0)
    given = table(seed=7, world=world)
    x, y = given.covariate[:, 0, :, None], given.preferences[:, 0, :, None]
    nodes, weight = np.polynomial.hermite_e.hermegauss(30)
    weight = weight / weight.sum()

    def loss(at: Floats) -> float:
        linear = at[:3, None, None] + at[3:6, None, None] * x + np.exp(at[6]) * nodes
        each = (y * log_expit(linear) + (1 - y) * log_expit(-linear)).sum(axis=0)
        return -float(logsumexp(each, b=weight, axis=1).sum())

    best = minimize(loss, np.r_[np.zeros(6), -0.5], method="BFGS", options={"gtol": 1e-3})
    exact = 100 * expit(best.x[:3, None] + np.exp(best.x[6]) * nodes) @ weight
    assert np.abs(figures(given)[:, 0] - exact).max() < 1.0
    assert 0.6 < float(fitted(given).sigma[0]) / np.exp(best.x[6]) < 1.0


def test_weights_are_copies_of_prompts() -> None:
    given = table(seed=1)
    copies = [*range(given.prompts), *range(given.prompts)]
    one = fitted(given, np.full((1, given.prompts), 2.0))
    doubled = picked(given, [0, 1, 2], copies)
    other = fitted(doubled)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=0.01)
    np.testing.assert_allclose(one.tau, other.tau, rtol=0.01)
    expected = joint.figures(doubled, np.ones((1, doubled.prompts)), other)
    np.testing.assert_allclose(joint.figures(given, np.full((1, given.prompts), 2.0), one), expected, atol=0.02)


def test_uneven_weights_are_copies_too() -> None:
    given = replace(table(seed=2), lengths=np.broadcast_to(table(seed=2).reference_lengths, (3, 1, 60)).copy())
    weights = np.ones((1, given.prompts))
    weights[0, [5, 7, 9]] = 2, 3, 0
    copies = picked(given, [0, 1, 2], [at for at in [*range(given.prompts), 5, 7, 7] if at != 9])
    one, other = fitted(given, weights), fitted(copies)
    np.testing.assert_allclose(one.sigma, other.sigma, rtol=0.01)
    expected = joint.figures(copies, np.ones((1, copies.prompts)), other)
    np.testing.assert_allclose(joint.figures(given, weights, one), expected, atol=0.02)


def test_resamples_fitted_together_are_as_if_each_were_alone() -> None:
    given = table(seed=5)
    weights = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), 4).astype(float)
    begin = fitted(given)
    together = joint.fit(given, weights, begin.repeat(4))
    for at, row in enumerate(weights):
        alone = joint.fit(given, row[None], begin)
        np.testing.assert_allclose(together.intercepts[at], alone.intercepts[0], atol=1e-6)
        np.testing.assert_allclose(together.slopes[at], alone.slopes[0], atol=1e-6)


def test_a_warm_start_ends_where_a_cold_one_does() -> None:
    given = table(seed=6)
    weights = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), 8).astype(float)
    warm = joint.fit(given, weights, fitted(given).repeat(8))
    cold = joint.fit(given, weights, joint.start(given).repeat(8))
    assert warm.converged.all() and cold.converged.all()
    np.testing.assert_allclose(joint.figures(given, weights, warm), joint.figures(given, weights, cold), atol=0.05)


def test_orders_of_arms_and_prompts_do_not_matter() -> None:
    given = table(seed=7)
    as_given = figures(given)
    prompts = np.random.default_rng(2).permutation(given.prompts)
    np.testing.assert_allclose(figures(picked(given, [2, 0, 1], prompts)), as_given[[2, 0, 1]], atol=1e-3)


def test_the_unit_of_length_does_not_matter() -> None:
    given = table(seed=7)
    tokens = replace(given, lengths=given.lengths / 4, reference_lengths=given.reference_lengths / 4)
    np.testing.assert_allclose(figures(tokens), figures(given), atol=1e-6)


def test_swapping_wins_and_losses_and_lengths_mirrors_the_figures() -> None:
    given = table(seed=8)
    mirrored = replace(given, preferences=1 - given.preferences, lengths=2 * given.reference_lengths - given.lengths)
    np.testing.assert_allclose(figures(mirrored), 100 - figures(given), atol=1e-3)


@pytest.mark.parametrize("longer", [0.0, 40.0])
def test_without_a_length_effect_to_see_the_figure_is_the_raw_win_rate(longer: float) -> None:
    given = table(seed=9)
    equal = replace(given, lengths=np.broadcast_to(given.reference_lengths + longer, given.lengths.shape).copy())
    np.testing.assert_allclose(figures(equal), equal.raw, atol=1e-4)


def test_where_length_has_no_effect_control_hardly_moves_a_large_table() -> None:
    world = replace(WORLD, prompts=3000, slopes=(0.0, 0.0, 0.0))
    given = table(seed=10, world=world)
    assert np.abs(figures(given) - given.raw).max() < 1.0
    assert np.abs(figures(given)[:, 0] - world.truth).max() < 3.0


def test_it_takes_a_known_length_effect_out() -> None:
    world = replace(WORLD, prompts=4000, slopes=(1.5, 1.5, 1.5), longer=(-0.5, 0.3, 0.8))
    given = table(seed=11, world=world)
    assert np.abs(given.raw[:, 0] - world.truth).max() > 6, "a world where it does not matter would prove nothing"
    assert np.abs(figures(given)[:, 0] - world.truth).max() < 2.5


def test_continuous_preferences_give_what_their_probabilities_say() -> None:
    world = replace(WORLD, prompts=1500, ties=0.0)
    rng = np.random.default_rng(12)
    given = table(seed=12, world=world)
    linear = np.array(world.levels)[:, None] + np.array(world.slopes)[:, None] * given.covariate[:, 0]
    chances = expit(linear + world.difficulty * rng.standard_normal(1500))
    soft = LengthTable.of(given.arms, chances, given.lengths[:, 0], given.reference_lengths)
    assert np.abs(figures(soft)[:, 0] - world.truth).max() < 2.0


def test_slopes_shrink_towards_each_other_where_there_is_little_to_tell_them_apart() -> None:
    few = fitted(table(seed=13, world=replace(WORLD, prompts=30, slopes=(1.0, 1.0, 1.0))))
    many = fitted(table(seed=13, world=replace(WORLD, prompts=3000, slopes=(-1.0, 1.0, 3.0))))
    assert few.slopes.std() < 0.25
    assert many.slopes[0, 0] < many.slopes[0, 1] - 1 < many.slopes[0, 2] - 2


def test_one_judgement_a_prompt_leaves_difficulty_out() -> None:
    found = fitted(picked(table(seed=14), [1], list(range(60))))
    assert found.converged.all() and found.sigma[0] == joint.LEAST
    assert np.abs(found.difficulties).max() < 1e-3


def test_prompts_that_nobody_judged_are_as_if_they_were_not_there() -> None:
    given = table(seed=15)
    gone = given.preferences.copy()
    gone[..., 40:] = np.nan
    without = replace(given, preferences=gone)
    np.testing.assert_allclose(figures(without), figures(picked(given, [0, 1, 2], list(range(40)))), atol=1e-3)


def test_seeds_of_an_arm_share_its_slope_and_have_figures_of_their_own() -> None:
    given = table(seed=16, world=replace(WORLD, seeds=3, seed_sd=0.5))
    found = fitted(given)
    assert found.intercepts.shape == (1, 3, 3) and found.slopes.shape == (1, 3)
    assert figures(given).std(axis=1).min() > 1
