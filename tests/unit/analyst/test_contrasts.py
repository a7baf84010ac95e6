"""Contrasts: differences of arms, and differences of such differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.analyst.contrasts import Contrast, ContrastResult, parse_contrasts
from services.analyst.contrasts import compare as maybe_compare
from services.analyst.intervals import Floats, Interval, crossed
from services.analyst.scores import ArmScores

NAMED: dict[str, Any] = {
    "headline": ["rlaif-weak", "sft-strong"],
    "gain-weak": ["rlaif-weak", "start-weak"],
    "gain-strong": ["rlaif-strong", "start-strong"],
    "vanishing": [["rlaif-weak", "start-weak"], ["rlaif-strong", "start-strong"]],
}
ROLES = ["sft-weak", "sft-strong", "start-weak", "start-strong", "rlaif-weak", "rlaif-strong"]


def arm(name: str, values: Any) -> ArmScores:
    table = np.asarray(values, dtype=np.float64)
    ids = np.array([f"p{i:04}" for i in range(table.shape[1])])
    return ArmScores(name, "win-rate@0.7", tuple(range(len(table))), ids, table)


def compare(contrast: Contrast, scores: dict[str, ArmScores], alpha: float = 0.05, **options: Any) -> ContrastResult:
    result = maybe_compare(contrast, scores, alpha, **options)
    assert result is not None
    return result


def world(seeds: int = 3, prompts: int = 200, seed: int = 0) -> dict[str, ArmScores]:
    rng = np.random.default_rng(seed)
    return {name: arm(name, rng.choice([0, 25, 50, 75, 100], (seeds, prompts))) for name in ROLES}


def test_contrasts_of_the_spec_are_pairs_or_pairs_of_pairs() -> None:
    found = parse_contrasts({"mine": ["a", "b"], "double": [["a", "b"], ["c", "d"]]})
    assert found["mine"].pair == ("a", "b") and found["mine"].formula == "a − b"
    assert found["double"].pair is None and found["double"].formula == "(a − b) − (c − d)"


@pytest.mark.parametrize("value", [["a"], ["a", "a"], "ab", [["a", "b"], ["c"]], [1, 2], {"a": "b"}])
def test_any_other_form_is_an_error_that_shows_the_right_ones(value: Any) -> None:
    with pytest.raises(ValueError, match=r"contrasts.mine: write \[A, B\] or \[\[A, B\], \[C, D\]\]"):
        parse_contrasts({"mine": value})


def test_a_difference_is_paired_by_prompt_and_seed() -> None:
    scores = world()
    scores["shifted"] = arm("shifted", scores["sft-weak"].values + 3)
    result = compare(parse_contrasts({"x": ["shifted", "sft-weak"]})["x"], scores, 0.05, bounded=False)
    assert result.estimate == pytest.approx(3)
    assert result.standard_error == pytest.approx(0, abs=1e-9)


def test_vanishing_is_the_difference_of_the_gains() -> None:
    scores, named = world(), parse_contrasts(NAMED)
    results = {name: compare(contrast, scores, 0.05) for name, contrast in named.items()}
    gap = results["gain-weak"].estimate - results["gain-strong"].estimate
    assert results["vanishing"].estimate == pytest.approx(gap)
    table = np.sum([w * scores[a].values for w, a in named["vanishing"].terms], axis=0)
    assert results["vanishing"].standard_error == pytest.approx(float(crossed(table).standard_error))


def test_log_odds_are_those_of_the_means_and_their_error_is_the_bootstraps() -> None:
    rng = np.random.default_rng(5)
    draws = {"a": [0.2, 0.2, 0.6], "b": [0.3, 0.4, 0.3]}
    scores = {name: arm(name, rng.choice([0, 50, 100], (1, 400), p=p)) for name, p in draws.items()}
    result = compare(parse_contrasts({"x": ["a", "b"]})["x"], scores).log_odds
    assert result is not None

    def logit(x: Any) -> Any:
        return np.log(x / (100 - x))

    a, b = scores["a"].values[0], scores["b"].values[0]
    assert result.estimate == pytest.approx(logit(a.mean()) - logit(b.mean()))
    picks = rng.integers(0, 400, (4000, 400))
    again = logit(a[picks].mean(axis=1)) - logit(b[picks].mean(axis=1))
    assert result.standard_error == pytest.approx(again.std(), rel=0.05)


def test_an_arm_that_wins_everything_has_no_log_odds() -> None:
    scores = {"a": arm("a", np.full((1, 9), 100)), "b": arm("b", [[0, 50, 100] * 3])}
    assert compare(parse_contrasts({"x": ["a", "b"]})["x"], scores, 0.05).log_odds is None


def test_fewer_than_two_common_prompts_give_no_result() -> None:
    a, b = arm("a", [[1, np.nan, 3]]), arm("b", [[1, 2, np.nan]])
    assert maybe_compare(parse_contrasts({"x": ["a", "b"]})["x"], {"a": a, "b": b}, 0.05) is None


def test_the_deciding_interval_is_wider_when_several_looks_were_declared() -> None:
    result = compare(parse_contrasts(NAMED)["headline"], world(), 0.05 / 4)
    assert result.decision_interval[0] < result.interval[0] < result.interval[1] < result.decision_interval[1]


def test_another_method_of_inference_takes_the_place_of_the_crossed_one() -> None:
    asked = []

    def recorded(table: Floats) -> Interval:
        asked.append(table.shape)
        return crossed(table)

    compare(parse_contrasts(NAMED)["headline"], world(), 0.05, method=recorded)
    assert asked == [(3, 200), (3, 200)], "the difference, and its log-odds"
