"""AlpacaEval's conventions, on made-up labels and on the ten published win rates."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from services.analyst.preferences import win_rate, wins

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "alpaca_eval"
COUNTS = ("n_wins", "n_wins_base", "n_draws", "n_total")


def test_both_kinds_of_tie_are_a_half_and_no_answer_is_left_out() -> None:
    found = win_rate([2, 1, 1.5, 0, None, float("nan")])
    assert found.win_rate == 50
    assert (found.n_wins, found.n_wins_base, found.n_draws, found.n_total) == (1, 1, 2, 4)
    assert found.standard_error == pytest.approx(100 * np.std([1, 0, 0.5, 0.5], ddof=1) / 2)


def test_a_continuous_preference_counts_as_it_is_and_rounded_in_the_discrete_rate() -> None:
    found = win_rate([1.9, 1.2, 1.6, 1.5])
    assert found.win_rate == pytest.approx(55)
    assert found.discrete_win_rate == pytest.approx(62.5)
    assert (found.n_wins, found.n_wins_base, found.n_draws) == (2, 1, 1)


@pytest.mark.parametrize("wrong", [0.5, 3.0, -1.0, math.inf])
def test_what_is_no_preference_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="preference: give 1 to 2, or 0 for a tie"):
        wins([1.0, wrong])


def test_with_nothing_to_count_there_is_no_number() -> None:
    assert math.isnan(win_rate([None]).win_rate) and win_rate([None]).n_total == 0
    assert math.isnan(win_rate([2.0]).standard_error) and win_rate([2.0]).win_rate == 100


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_the_ten_published_win_rates_come_out_to_every_digit() -> None:
    """Fifteen significant digits: all that a double holds for certain."""
    labels: dict[str, list[float | None]] = {}
    for row in pq.read_table(DATA / "preferences_gpt4.parquet", columns=["generator_2", "preference"]).to_pylist():
        labels.setdefault(row["generator_2"], []).append(row["preference"])
    published = list(csv.DictReader((DATA / "published_win_rates.csv").open()))
    assert len(published) == 10
    for row in published:
        found = win_rate(labels[row["model"]])
        assert f"{found.win_rate:.15g}" == f"{float(row['win_rate']):.15g}", row["model"]
        assert f"{found.standard_error:.15g}" == f"{float(row['standard_error']):.15g}", row["model"]
        assert [getattr(found, name) for name in COUNTS] == [int(row[name]) for name in COUNTS], row["model"]
