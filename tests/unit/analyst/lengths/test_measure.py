"""Lengths of completions: by arm, beside a contrast, and what a difference goes with."""

from __future__ import annotations

import numpy as np
import pytest

from services.analyst.contrasts import Contrast
from services.analyst.lengths.measure import (
    FEWEST,
    ArmLengths,
    SeedLengths,
    against_reference,
    assemble_lengths,
    by_difference,
    distribution,
    pooled_references,
    ratio,
    seed_lengths,
)
from services.analyst.scores import ArmScores
from shared import records

DIFFERENCE = Contrast("difference", ((1, "a"), (-1, "b")))
NAN = np.nan


def scores(arm: str, values: list[list[float]]) -> ArmScores:
    ids = np.array([f"p{number:03}" for number in range(len(values[0]))])
    return ArmScores(arm, "e", tuple(range(len(values))), ids, np.array(values, dtype=np.float64))


def both(
    values: dict[str, list[list[float]]], own: dict[str, list[list[float]]], references: list[float]
) -> tuple[dict[str, ArmScores], dict[str, ArmLengths]]:
    made = {arm: scores(arm, rows) for arm, rows in values.items()}
    found = {}
    for arm, one in made.items():
        tables = {
            seed: SeedLengths(one.prompt_ids, np.array(own[arm][seed]), np.array(references)) for seed in one.seeds
        }
        assembled = assemble_lengths(one, tables)
        assert assembled is not None
        found[arm] = assembled
    return made, found


def test_characters_are_counted_as_people_do_and_a_missing_text_has_none() -> None:
    table = records.from_rows(
        [
            {"prompt_id": "p", "completion": "naïve 🙂", "reference": ""},
            {"prompt_id": "q", "completion": "", "reference": None},
        ],
        records.JUDGEMENTS,
    )
    found = seed_lengths(table)
    assert found is not None
    assert found.completions.tolist() == [7.0, 0.0]
    assert found.references[0] == 0.0 and np.isnan(found.references[1])


def test_rows_without_completions_have_no_lengths() -> None:
    assert seed_lengths(records.from_rows([{"prompt_id": "p", "score": 1.0}], records.JUDGEMENTS)) is None


def test_a_ratio_is_of_means_over_the_prompts_of_the_contrast() -> None:
    made, found = both(
        {"a": [[1, 1, NAN, 1]], "b": [[0, 0, 0, NAN]]},
        {"a": [[30.0, 10.0, 999.0, 999.0]], "b": [[10.0, 10.0, 777.0, 777.0]]},
        [1.0, 1.0, 1.0, 1.0],
    )
    assert ratio(DIFFERENCE, made, found) == pytest.approx(2.0)


def test_a_ratio_is_over_all_seeds_and_a_difference_of_differences_has_a_ratio_of_ratios() -> None:
    values = {arm: [[1.0, 1.0], [1.0, 1.0]] for arm in "abcd"}
    own = {
        "a": [[10.0, 10.0], [30.0, 30.0]],
        "b": [[10.0, 10.0], [10.0, 10.0]],
        "c": [[5.0, 5.0], [5.0, 5.0]],
        "d": [[20.0, 20.0], [20.0, 20.0]],
    }
    made, found = both(values, own, [1.0, 1.0])
    assert ratio(DIFFERENCE, made, found) == pytest.approx(2.0)
    whole = Contrast("vanishing", ((1, "a"), (-1, "b"), (-1, "c"), (1, "d")))
    assert ratio(whole, made, found) == pytest.approx(2.0 / 0.25)


@pytest.mark.parametrize("own", [{"a": [[5.0]], "b": [[0.0]]}, {"a": [[5.0]], "b": [[NAN]]}])
def test_nothing_can_be_said_to_be_longer_than_nothing(own: dict[str, list[list[float]]]) -> None:
    made, found = both({"a": [[1.0]], "b": [[1.0]]}, own, [1.0])
    assert ratio(DIFFERENCE, made, found) is None
    assert ratio(DIFFERENCE, made, {"a": found["a"]}) is None


def test_an_arm_that_lacks_a_seeds_completions_has_no_lengths() -> None:
    one = scores("a", [[1.0], [1.0]])
    assert assemble_lengths(one, {0: SeedLengths(one.prompt_ids, np.array([4.0]), np.array([2.0]))}) is None


def test_a_distribution_has_its_quantiles_and_no_more_ticks_than_are_drawn() -> None:
    found = distribution(np.arange(1001, dtype=np.float64))
    assert found is not None
    assert found.quantiles == (50.0, 250.0, 500.0, 750.0, 950.0) and found.mean == 500.0
    assert len(found.ticks) == 150 and found.ticks[0] == 0.0 and found.ticks[-1] == 1000.0
    assert distribution(np.array([NAN])) is None


def test_scores_are_parted_by_how_much_longer_a_completion_is() -> None:
    difference = np.arange(100.0)
    made, found = both(
        {"a": [list(np.where(difference < 50, 0.0, 100.0))]}, {"a": [list(200 + difference)]}, [200.0] * 100
    )
    parts = by_difference(made["a"], found["a"])
    assert [one.n for one in parts] == [20, 20, 20, 20, 20]
    assert [one.score for one in parts] == [0.0, 0.0, 50.0, 100.0, 100.0]
    assert [one.difference for one in parts] == [9.5, 29.5, 49.5, 69.5, 89.5]
    assert parts[0].standard_error == 0.0 and parts[2].standard_error == pytest.approx(50 / 19**0.5)


def test_equal_differences_are_one_part_and_few_prompts_none() -> None:
    made, found = both({"a": [[100.0, 0.0] * 10]}, {"a": [[7.0] * 20]}, [5.0] * 20)
    (part,) = by_difference(made["a"], found["a"])
    assert (part.n, part.difference, part.score) == (20, 2.0, 50.0)
    made, found = both({"a": [[100.0] * (FEWEST - 1)]}, {"a": [[7.0] * (FEWEST - 1)]}, [5.0] * (FEWEST - 1))
    assert by_difference(made["a"], found["a"]) == ()


def test_references_count_once_and_an_arm_is_held_against_those_it_has() -> None:
    _, found = both({"a": [[1.0, 1.0]], "b": [[1.0, 1.0]]}, {"a": [[6.0, 9.0]], "b": [[1.0, 1.0]]}, [3.0, NAN])
    assert against_reference(found["a"]) == 2.0
    pooled = pooled_references([found["a"], found["b"]])
    assert pooled is not None and (pooled.n, pooled.median) == (1, 3.0)
    _, none = both({"a": [[1.0]]}, {"a": [[6.0]]}, [NAN])
    assert against_reference(none["a"]) is None and pooled_references([none["a"]]) is None


def test_of_two_arms_judged_head_to_head_each_has_its_own_completions_and_no_reference() -> None:
    table = records.from_rows([{"prompt_id": "p", "completion": "four", "reference": "sixsix"}], records.JUDGEMENTS)
    own, other = seed_lengths(table, head_to_head=True), seed_lengths(table, head_to_head=True, mirrored=True)
    assert own is not None and other is not None
    assert (own.completions.tolist(), other.completions.tolist()) == ([4.0], [6.0])
    assert np.isnan(own.references).all() and np.isnan(other.references).all()
