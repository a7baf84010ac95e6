"""`alpaca_eval_minimal` gives alpaca_eval's own figures, and stands what its solver would not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from benchmarks.length_control import AGREES, made_up, ours, recorded
from services.analyst.length_control import minimal

LABELS = Path(__file__).resolve().parents[5] / "shared" / "data" / "alpaca_eval" / "preferences_gpt4.parquet"

# Made by alpaca_eval 0.6.6 with scikit-learn 1.9.1: `python -m benchmarks.length_control peer FOLDER --labels FILE`.
THEIRS = {
    "plain": 57.9229,
    "ties and gaps": 38.9858,
    "continuous": 67.2713,
    "weak": 1.8719,
    "small": 55.4634,
    "long": 28.0297,
}
THEIRS_RECORDED = {
    "alpaca-7b": 25.7731,
    "gpt-3.5-turbo-0301": 77.2222,
    "gpt4_0314": 79.3496,
    "text_davinci_001": 21.1355,
    "falcon-40b-instruct": 39.6241,
    "phi-2-sft": 42.2726,
    "phi-2-dpo": 53.4206,
    "vicuna-13b": 50.3090,
    "wizardlm-13b": 65.7974,
    "gpt35_turbo_instruct": 62.6814,
}


@pytest.mark.parametrize("name", THEIRS)
def test_it_agrees_with_alpaca_eval_on_made_up_labels(name: str) -> None:
    assert ours(made_up()[name]) == pytest.approx(THEIRS[name], abs=AGREES)


@pytest.mark.skipif(not LABELS.exists(), reason="../shared/data is not here")
def test_it_agrees_with_alpaca_eval_on_the_recorded_labels_of_ten_models() -> None:
    found = {name: ours(labels) for name, labels in recorded(LABELS).items()}
    assert found == pytest.approx(THEIRS_RECORDED, abs=AGREES)


@pytest.mark.parametrize("strength", [0.0001, 0.05, 0.36, 20.0])
def test_the_fit_is_at_the_penalised_minimum(strength: float) -> None:
    rng = np.random.default_rng(0)
    x = np.tanh(rng.normal(0.3, 1, 150))
    y = rng.random(150)
    found = minimal.lasso(y, x, np.ones((1, 150)), strength)

    def loss(at: np.ndarray) -> float:
        linear = at[0] + at[1] * x
        return float(np.abs(at).sum() - strength * (y * log_expit(linear) + (1 - y) * log_expit(-linear)).sum())

    best = minimize(loss, [0.01, 0.01], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000})
    assert found.converged.all()
    assert loss(np.array([found.intercept[0], found.slope[0]])) <= best.fun + 1e-9


def test_a_coefficient_that_is_not_worth_its_penalty_is_zero() -> None:
    y = np.tile([0.0, 1.0], 50)
    x = np.zeros(100)
    found = minimal.lasso(y, x, np.ones((1, 100)), 1.0)
    assert (found.intercept[0], found.slope[0], found.figure[0]) == (0.0, 0.0, 50.0)


def test_rows_that_length_separates_have_a_finite_fit() -> None:
    x = np.tanh(np.linspace(-2, 2, 80))
    found = minimal.lasso((x > 0).astype(float), x, np.ones((1, 80)), 1e4)
    assert found.converged.all() and np.isfinite(found.slope).all()
    assert found.figure[0] == pytest.approx(50, abs=2)


def test_weights_are_copies_of_rows() -> None:
    rng = np.random.default_rng(1)
    x = np.tanh(rng.normal(size=60))
    y = (rng.random(60) < expit(0.5 + x)).astype(float)
    weights = rng.integers(0, 3, 60)
    one = minimal.lasso(y, x, weights[None].astype(float), 2.0)
    rows = np.repeat(np.arange(60), weights)
    other = minimal.lasso(y[rows], x[rows], np.ones((1, len(rows))), 2.0)
    assert one.intercept[0] == pytest.approx(other.intercept[0], abs=1e-7)
    assert one.slope[0] == pytest.approx(other.slope[0], abs=1e-7)


def test_equal_lengths_have_no_covariate() -> None:
    assert not minimal.covariate(np.full(5, 30.0), np.full(5, 30.0)).any()
    assert not minimal.covariate(np.full(5, 50.0), np.full(5, 30.0)).any()
