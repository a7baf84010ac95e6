"""Common prompt sets: which prompts count, and who dropped them."""

from __future__ import annotations

import numpy as np
import pytest

from services.analyst.scores import SeedScores, align, assemble


def judged(scores: dict[str, float | None]) -> SeedScores:
    """{prompt: score, or None where the judgement is not valid} as columns."""
    return SeedScores(
        np.array(list(scores), dtype=np.str_),
        np.array([np.nan if score is None else score for score in scores.values()], dtype=np.float64),
        np.array([score is not None for score in scores.values()]),
    )


def test_rows_find_their_prompt_in_any_order() -> None:
    arm = assemble("a", "win", {1: judged({"p2": 0, "p1": 100}), 0: judged({"p1": 50, "p2": 25})})
    assert arm.seeds == (0, 1)
    assert arm.prompt_ids.tolist() == ["p1", "p2"]
    assert arm.values.tolist() == [[50, 25], [100, 0]]


def test_only_prompts_valid_for_both_arms_in_all_seeds_count() -> None:
    a = assemble("a", "win", {0: judged({"p1": 1, "p2": 2, "p3": 3}), 1: judged({"p1": 4, "p2": None, "p3": 6})})
    b = assemble("b", "win", {0: judged({"p1": 7, "p2": 8, "p3": 9}), 1: judged({"p1": 7, "p2": 8})})
    both = align([a, b])
    assert both.prompt_ids.tolist() == ["p1"]
    assert both.values.tolist() == [[[1], [4]], [[7], [7]]]
    assert both.dropped == {"a": 1, "b": 1} and both.total == 3
    assert both.dropped_share("a") == pytest.approx(100 / 3)


def test_a_prompt_that_one_arm_never_had_is_dropped_for_it() -> None:
    a = assemble("a", "win", {0: judged({"p1": 1, "p2": 2})})
    b = assemble("b", "win", {0: judged({"p1": 1})})
    assert align([a, b]).dropped == {"a": 0, "b": 1}


def test_an_arms_own_mean_is_over_its_own_valid_prompts() -> None:
    arm = assemble("a", "win", {0: judged({"p1": 1, "p2": 2}), 1: judged({"p1": None, "p2": 3})})
    assert arm.common.tolist() == [[2], [3]]


def test_a_prompt_judged_twice_is_an_error() -> None:
    twice = SeedScores(np.array(["p", "p"]), np.array([1.0, 2.0]), np.array([True, True]))
    with pytest.raises(ValueError, match="arm-a, win, seed 3: prompt 'p' is judged more than once"):
        assemble("arm-a", "win", {3: twice})


@pytest.mark.parametrize("score", [np.nan, np.inf])
def test_a_valid_row_needs_a_finite_score(score: float) -> None:
    rows = SeedScores(np.array(["p", "q"]), np.array([1.0, score]), np.array([True, True]))
    with pytest.raises(ValueError, match="prompt 'q' is marked valid but has no score"):
        assemble("a", "win", {0: rows})


def test_arms_with_other_seeds_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"a has seeds \[0\], b has \[1\]"):
        align([assemble("a", "win", {0: judged({"p": 1})}), assemble("b", "win", {1: judged({"p": 1})})])
