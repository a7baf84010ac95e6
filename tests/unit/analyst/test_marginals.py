"""Contrasts from published figures, and the paper's own as the example prints them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.paper_results import lines, read, rows
from services.analyst.contrasts import Contrast
from services.analyst.marginals import Marginal, contrast_of

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT.parent / "shared" / "data" / "paper_results.json"
ARMS = {
    "a": Marginal(60.0, 1.5),
    "b": Marginal(52.0, 2.0),
    "c": Marginal(66.0, 1.2),
    "d": Marginal(63.0, 1.6),
}
PAIR = Contrast("pair", ((1, "a"), (-1, "b")))
FOUR = Contrast("four", ((1, "a"), (-1, "b"), (-1, "c"), (1, "d")))
MADE_UP: dict[str, Any] = {
    "metric": "win rate, percent",
    "setup": {"beta": 0.05},
    "figure_2_some_critic": {
        "small": {
            "sft_weak_subset": [40.0, 1.7],
            "rlaif_weak": [50.0, 1.7],
            "sft_strong_full": [61.0, 1.7],
        },
        "large": {
            "sft_weak_subset": [50.0, 1.7],
            "rlaif_weak": [75.0, 1.5],
            "sft_strong_full": [60.0, 1.7],
        },
    },
    "figure_3_scaling": {"percent": [0, 5], "judged": [[0.4, 0.2], [40.0, 1.7]]},
    "figure_5_same_critic": {
        "small": {
            "sft_strong_subset": [58.0, 1.7],
            "rlaif_strong": [59.0, 1.7],
            "sft_strong_full": [61.0, 1.7],
        }
    },
}


@pytest.fixture
def made_up(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(MADE_UP))
    return path


def levels(path: Path, correlation: float = 0.0) -> dict[str, str]:
    found = rows(read(path), 2.0, correlation, 805)
    return {f"{row.figure} {row.base}": row.verdict.level for row in found if row.verdict}


def test_independent_errors_add_up() -> None:
    found = contrast_of(PAIR, ARMS, "figure", prompts=805)
    assert found.estimate == 8.0 and found.standard_error == pytest.approx(2.5)
    assert found.interval[1] - found.estimate == pytest.approx(1.963 * 2.5, abs=1e-3)
    assert contrast_of(FOUR, ARMS, "figure", prompts=805).standard_error == pytest.approx(
        math.sqrt(1.5**2 + 2**2 + 1.2**2 + 1.6**2)
    )


def test_an_assumed_correlation_narrows_a_difference() -> None:
    found = contrast_of(PAIR, ARMS, "figure", prompts=805, correlation=0.5)
    assert found.standard_error == pytest.approx(math.sqrt(1.5**2 + 2**2 - 1.5 * 2.0))
    equal = {"a": Marginal(60.0, 1.5), "b": Marginal(52.0, 1.5)}
    assert contrast_of(PAIR, equal, "figure", prompts=805, correlation=1.0).standard_error == pytest.approx(0)


def test_log_odds_are_by_the_delta_method() -> None:
    found = contrast_of(PAIR, ARMS, "figure", prompts=805).log_odds
    assert found is not None
    assert found.estimate == pytest.approx(math.log(60 / 40) - math.log(52 / 48))
    assert found.standard_error == pytest.approx(math.hypot(0.015 / 0.24, 0.02 / (0.52 * 0.48)))
    assert contrast_of(PAIR, {**ARMS, "b": Marginal(0.0, 0.0)}, "figure", prompts=805).log_odds is None


@pytest.mark.parametrize(("prompts", "correlation"), [(1, 0.0), (805, -0.1), (805, 1.1)])
def test_what_cannot_be_assumed_is_refused(prompts: int, correlation: float) -> None:
    with pytest.raises(ValueError, match="give at least 2 prompts and a correlation"):
        contrast_of(PAIR, ARMS, "figure", prompts, correlation)
    with pytest.raises(KeyError):
        contrast_of(PAIR, {"a": ARMS["a"]}, "figure", 805)


def test_the_example_reads_figures_of_arms_and_leaves_the_rest(made_up: Path) -> None:
    assert list(read(made_up)) == ["figure_2", "figure_5"]
    assert levels(made_up) == {
        "figure_2 small": "sft_suffices",
        "figure_2 large": "rl_adds_value",
        "figure_5 small": "inconclusive",
    }


def test_the_example_says_vanishing_and_what_is_assumed(made_up: Path) -> None:
    said = "\n".join(lines(read(made_up), 2.0, 0.2, 805))
    assert "a correlation of 0.2 between arms" in said and "figure 2 (correlation 0.2 assumed)" in said
    assert "vanishing       9.0 (" in said and "in log-odds" in said
    assert "large: rl_adds_value by headline" in said and "small: inconclusive by added" in said


def test_the_example_runs_as_its_header_says_and_refuses_another_file(made_up: Path, tmp_path: Path) -> None:
    command = [sys.executable, "examples/paper_results.py"]
    done = subprocess.run([*command, str(made_up)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "vanishing" in done.stdout
    other = tmp_path / "other.json"
    other.write_text("{}")
    refused = subprocess.run([*command, str(other)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "no figure has base models" in refused.stderr


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared/data is not here")
def test_the_paper_s_levels() -> None:
    found = levels(PUBLISHED)
    assert {name: level for name, level in found.items() if name.startswith("figure_2")} == {
        "figure_2 llama-7b": "sft_suffices",
        "figure_2 llama2-13b": "sft_suffices",
        "figure_2 mistral-7b": "sft_suffices",
        "figure_2 mixtral-8x7b": "sft_suffices",
        "figure_2 deepseek-7b": "inconclusive",
        "figure_2 yi-6b": "inconclusive",
    }
    assert found["figure_4 llama-7b"] == found["figure_4 mistral-7b"] == "inconclusive"
    assert found["figure_5 llama-7b"] == "sft_suffices"
    assert found["figure_5 yi-6b"] == found["figure_5 mistral-7b"] == "inconclusive"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared/data is not here")
def test_the_paper_s_gain_vanishes_for_yi_and_mistral() -> None:
    found = [row for row in rows(read(PUBLISHED), 2.0, 0.0, 805) if row.results[0].contrast.name == "vanishing"]
    above = {f"{row.figure} {row.base}" for row in found if row.results[0].interval[0] > 0}
    assert len(found) == 4
    assert above == {
        "figure_2 and figure_5 yi-6b",
        "figure_2 and figure_5 mistral-7b",
        "figure_4 and appendix_figure_1 llama-7b",
    }
