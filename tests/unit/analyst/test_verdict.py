"""Every level of the verdict, and that the first rule that matches is the one that counts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyst.contrasts import Contrast, ContrastResult, compare
from services.analyst.scores import ArmScores
from services.analyst.verdict import Checks, NullScore, claim, decide, decision_alpha, pending, scope_of

HEADLINE = Contrast("headline", ((1, "rlaif-weak"), (-1, "sft-strong")))


def arm(name: str, values: Any, evaluation: str = "win-rate@0.7") -> ArmScores:
    table = np.asarray(values, dtype=np.float64)
    ids = np.array([f"p{i:04}" for i in range(table.shape[1])])
    return ArmScores(name, evaluation, tuple(range(len(table))), ids, table)


def headline(
    difference: float,
    seeds: int = 3,
    prompts: int = 400,
    sd: float = 20.0,
    seed_sd: float = 0.0,
    evaluation: str = "win-rate@0.7",
    alpha: float = 0.05,
    dropped: tuple[int, int] = (0, 0),
) -> ContrastResult:
    """A result whose estimate is exactly `difference`."""
    rng = np.random.default_rng(7)
    noise = rng.normal(0, sd, (seeds, prompts)) + rng.normal(0, seed_sd, (seeds, 1))
    a = 50 + noise - noise.mean() + difference
    b = np.full((seeds, prompts), 50.0)
    extra = np.full((seeds, sum(dropped)), 50.0)
    a, b = np.hstack([a, extra]), np.hstack([b, extra])
    a[:, prompts : prompts + dropped[0]] = np.nan
    b[:, prompts + dropped[0] :] = np.nan
    scores = {"rlaif-weak": arm("rlaif-weak", a, evaluation), "sft-strong": arm("sft-strong", b, evaluation)}
    result = compare(HEADLINE, scores, alpha)
    assert result is not None
    return result


def test_rl_adds_value_when_the_whole_interval_lies_above_delta() -> None:
    verdict = decide(headline(6.0), delta=2.0, checks=Checks())
    assert (verdict.level, verdict.scope) == ("rl_adds_value", "recipe")
    start = "RL adds value: rlaif-weak scores 6.0 points above sft-strong on win-rate@0.7 (95% interval "
    assert verdict.sentence.startswith(start)
    assert "more than the 2.0 points that would make it worth its cost" in verdict.sentence


def test_sft_suffices_and_is_better_when_the_whole_interval_lies_below_zero() -> None:
    verdict = decide(headline(-6.0), delta=2.0, checks=Checks())
    assert verdict.level == "sft_suffices"
    assert verdict.sentence.startswith("SFT suffices and is better: rlaif-weak scores 6.0 points below sft-strong")
    assert "same within" not in verdict.sentence


def test_sft_suffices_and_is_the_same_within_delta() -> None:
    verdict = decide(headline(0.0, prompts=4000, sd=10), delta=2.0, checks=Checks())
    assert verdict.level == "sft_suffices"
    assert verdict.sentence.startswith("SFT suffices, the same within 2.0 points: ")


def test_sft_may_be_both_better_and_the_same_within_delta() -> None:
    verdict = decide(headline(-1.0, prompts=4000, sd=10), delta=2.0, checks=Checks())
    assert verdict.sentence.startswith("SFT suffices and is better, the same within 2.0 points: ")


def test_sft_suffices_without_more_when_the_interval_only_lies_below_delta() -> None:
    verdict = decide(headline(-1.2), delta=2.0, checks=Checks())
    assert verdict.interval is not None
    low, high = verdict.interval
    assert low < -2 and 0 < high < 2
    assert verdict.sentence.startswith("SFT suffices: rlaif-weak")


def test_a_negative_delta_says_how_many_points_the_cheaper_arm_may_lose() -> None:
    loses = decide(headline(-9.0), delta=-3.0, checks=Checks())
    assert loses.level == "sft_suffices"
    assert "rlaif-weak may lose 3.0 points" in loses.sentence and "loses more than that" in loses.sentence
    assert "is better" not in loses.sentence and "same within" not in loses.sentence
    keeps = decide(headline(-1.0, prompts=4000, sd=10), delta=-3.0, checks=Checks())
    assert keeps.level == "rl_adds_value" and "loses less than that" in keeps.sentence


def test_inconclusive_says_how_many_prompts_or_seeds_would_decide() -> None:
    verdict = decide(headline(2.0, prompts=100), delta=2.0, checks=Checks())
    assert verdict.level == "inconclusive"
    assert verdict.needed is not None and verdict.needed.prompts is not None and verdict.needed.seeds is not None
    assert verdict.needed.prompts > 100 and verdict.needed.seeds > 3
    assert f"{verdict.needed.prompts:,} prompts with these 3 seeds" in verdict.sentence
    assert "inconclusive: rlaif-weak scores 2.0 points above" in verdict.sentence
    assert "an extension nobody declared is exploratory" in verdict.reasons[-1]


def test_inconclusive_says_that_prompts_alone_cannot_where_seeds_differ() -> None:
    verdict = decide(headline(2.0, seed_sd=6.0), delta=2.0, checks=Checks())
    assert verdict.needed is not None and verdict.needed.prompts is None
    assert "more prompts alone cannot" in verdict.sentence


def test_inconclusive_with_one_seed_says_what_it_cannot_know() -> None:
    verdict = decide(headline(2.0, seeds=1, prompts=100), delta=2.0, checks=Checks())
    assert verdict.scope == "checkpoints"
    assert verdict.sentence.startswith("For these trained models (one run each; another seed may differ): inconclusive")
    assert "to speak of the recipe takes at least 3 seeds" in verdict.sentence


def test_two_seeds_are_not_called_one() -> None:
    assert decide(headline(9, seeds=2), 2.0, Checks()).sentence.startswith("For these trained models (two runs each;")


def test_a_narrow_interval_around_delta_is_not_promised_to_be_decided_by_more() -> None:
    verdict = decide(headline(2.0, prompts=4000, sd=10), delta=2.0, checks=Checks())
    assert verdict.level == "inconclusive" and verdict.needed is None
    assert "the true difference lies close to delta" in verdict.sentence
    assert not any("another look" in reason for reason in verdict.reasons), "no more prompts are proposed"


def test_no_size_decides_a_delta_of_zero() -> None:
    assert "With a delta of zero" in decide(headline(0.0), delta=0.0, checks=Checks()).sentence


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        (Checks(eval_in_training=True), "evaluation prompts were used in training"),
        (Checks(tuning_trials={"rlaif-weak": 9, "sft-strong": 1}), "9 for rlaif-weak, 1 for sft-strong"),
        (Checks(tuning_trials={"rlaif-weak": 9}), "9 for rlaif-weak, 0 for sft-strong"),
        (Checks(null_scores=(NullScore("empty", "sft-strong", 4.0),)), r"\(empty\) score 4.0 points above"),
        (Checks(measures_imitation="similarity measures imitation"), "similarity measures imitation"),
    ],
)
def test_what_makes_a_comparison_invalid_comes_before_its_numbers(checks: Checks, reason: str) -> None:
    verdict = decide(headline(20.0), delta=2.0, checks=checks)
    assert verdict.level == "invalid"
    assert len(verdict.reasons) == 1
    assert "RL adds value" not in verdict.sentence
    assert re.search(reason, verdict.reasons[0]) and re.search(reason, verdict.sentence)


@pytest.mark.parametrize(
    ("dropped", "level"), [((0, 8), "rl_adds_value"), ((0, 9), "invalid"), ((40, 46), "rl_adds_value")]
)
def test_shares_of_dropped_prompts_may_differ_by_two_points(dropped: tuple[int, int], level: str) -> None:
    result = headline(20.0, prompts=400 - sum(dropped), dropped=dropped)
    assert result.total == 400
    assert decide(result, 2.0, Checks()).level == level


def test_null_completions_that_score_below_the_arms_change_nothing() -> None:
    checks = Checks(null_scores=(NullScore("empty", "sft-strong", -4.0), NullScore("empty", "rlaif-weak", 0.0)))
    assert decide(headline(20.0), 2.0, checks).level == "rl_adds_value"


def test_trials_of_other_arms_do_not_count() -> None:
    checks = Checks(tuning_trials={"rlaif-weak": 3, "sft-strong": 3, "sft-weak": 1})
    assert decide(headline(20.0), 2.0, checks).level == "rl_adds_value"


def test_another_judge_with_the_opposite_level_makes_it_inconclusive() -> None:
    second = headline(-9.0, evaluation="other-judge@0.7")
    verdict = decide(headline(9.0), 2.0, Checks(), second=[second])
    assert verdict.level == "inconclusive"
    assert verdict.reasons == ("other-judge@0.7 gives the opposite level of win-rate@0.7",)
    assert "9.0 points above" in verdict.sentence and "9.0 points below" in verdict.sentence


def test_another_judge_that_cannot_decide_does_not_overrule() -> None:
    second = headline(2.0, evaluation="other-judge@0.7")
    assert decide(headline(9.0), 2.0, Checks(), second=[second]).level == "rl_adds_value"


def test_invalid_comes_before_the_judges_disagreement() -> None:
    second = headline(-9.0, evaluation="other-judge@0.7")
    assert decide(headline(9.0), 2.0, Checks(eval_in_training=True), second=[second]).level == "invalid"


def test_declared_looks_decide_by_the_wider_interval() -> None:
    once = headline(4.0, seeds=1, sd=19.0)
    alpha = decision_alpha(looks=20)
    often = headline(4.0, seeds=1, sd=19.0, alpha=alpha)
    assert decide(once, 2.0, Checks()).level == "rl_adds_value"
    assert decide(often, 2.0, Checks(), alpha=alpha).level == "inconclusive"


def test_looks_and_cells_share_the_error_between_them() -> None:
    assert decision_alpha() == 0.05
    assert decision_alpha(looks=2, cells=5) == pytest.approx(0.005)


def test_a_difference_of_differences_cannot_be_the_primary() -> None:
    double = Contrast("vanishing", ((1, "a"), (-1, "b"), (-1, "c"), (1, "d")))
    scores = {name: arm(name, np.random.default_rng(0).normal(50, 9, (3, 20))) for name in "abcd"}
    result = compare(double, scores, 0.05)
    assert result is not None
    with pytest.raises(ValueError, match="vanishing is not a difference of two arms"):
        decide(result, 2.0, Checks())


def test_pending_says_how_much_is_missing() -> None:
    verdict = pending("headline", "win-rate@0.7", seeds=3, delta=2.0, missing=3, total=8)
    assert verdict.level == "pending" and verdict.sentence == "Not decided yet: 5 of 8 sets of judgements are in."


@pytest.mark.parametrize(("seeds", "scope"), [(1, "checkpoints"), (2, "checkpoints"), (3, "recipe"), (5, "recipe")])
def test_three_seeds_speak_of_the_recipe(seeds: int, scope: str) -> None:
    assert scope_of(seeds) == scope


ends = st.floats(-100, 100, allow_nan=False)


@given(a=ends, b=ends, delta=ends)
def test_a_claim_is_made_only_when_delta_lies_outside_the_interval(a: float, b: float, delta: float) -> None:
    low, high = min(a, b), max(a, b)
    assert (claim(low, high, delta) == "inconclusive") == (low <= delta <= high)
