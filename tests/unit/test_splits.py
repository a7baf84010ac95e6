"""Prompt splits: who goes where, and that nobody moves when `train` grows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadInput
from shared.splits import Splits, normalise, rows_between, split_prompts

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "alpaca_eval" / "prompts.jsonl"
WORDS = ["stone", "river", "lamp", "cloud", "tiger", "brush", "candle", "window", "garden", "violet"]


def pool(count: int) -> list[tuple[str, str]]:
    return [(f"p{n}", f"{WORDS[n % 10]} {n} tells {WORDS[n // 10 % 10]} about number {n * 7919}") for n in range(count)]


def ids(splits: Splits, split: str) -> list[str]:
    return [prompt.prompt_id for prompt in splits.prompts if prompt.split == split]


@given(st.integers(1, 30), st.integers(0, 10), st.integers(2, 20), st.integers(0, 30))
def test_a_larger_train_is_a_superset_and_leaves_dev_and_eval_as_they_were(
    train: int, dev: int, held: int, more: int
) -> None:
    small = split_prompts(pool(100), {"train": train, "dev": dev, "eval": held})
    large = split_prompts(pool(100), {"train": train + more, "dev": dev, "eval": held})
    assert ids(large, "eval") == ids(small, "eval")
    assert ids(large, "dev") == ids(small, "dev")
    assert ids(large, "train")[:train] == ids(small, "train")


def test_the_order_of_the_dataset_does_not_matter() -> None:
    sizes = {"train": 20, "dev": 5, "eval": 10}
    assert split_prompts(pool(50), sizes) == split_prompts(pool(50)[::-1], sizes)


def test_too_few_prompts_says_how_many_there_are() -> None:
    with pytest.raises(BadInput, match="the source has 10") as caught:
        split_prompts(pool(10), {"train": 8, "dev": 0, "eval": 5})
    assert caught.value.field == "prompts"


def test_near_duplicates_stay_in_one_split_and_are_counted() -> None:
    recipes = [(f"r{n}", f"I like to host guests at home and cook new dishes from time to time, give me {dish}")
               for n, dish in enumerate(["soup", "stew", "bread", "cake", "salad", "pasta"])]  # fmt: skip
    splits = split_prompts(pool(40) + recipes, {"train": 15, "dev": 5, "eval": 8})
    homes = {prompt.split for prompt in splits.prompts if prompt.prompt_id.startswith("r")}
    assert len(homes) <= 1
    assert splits.near_duplicates == 5


def test_equal_normalised_texts_are_one_cluster_also_when_exact() -> None:
    prompts = [("a", "Sort  THESE words"), ("b", "sort these words"), *pool(20)]
    splits = split_prompts(prompts, {"train": 5, "dev": 0, "eval": 5}, exact=True)
    assert splits.near_duplicates == 1
    assert normalise("Sort  THESE words") == normalise("sort these words")


@given(st.integers(0, 5000), st.floats(0, 1), st.floats(0, 1))
def test_adjoining_fractions_share_no_row_and_leave_none_out(total: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    first, second = rows_between(total, 0.0, low), rows_between(total, low, high)
    assert first[1] == second[0]
    assert rows_between(total, high, 1.0) == (second[1], total)


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_alpaca_eval_s_fifteen_dinner_guests_are_one_cluster() -> None:
    rows = [json.loads(line) for line in DATA.read_text().splitlines()]
    guests = {row["id"] for row in rows if row["instruction"].startswith("I like to host guests")}
    splits = split_prompts([(row["id"], row["instruction"]) for row in rows], {"train": 400, "dev": 0, "eval": 300})
    homes = {prompt.split for prompt in splits.prompts if prompt.prompt_id in guests}
    assert len(guests) >= 14
    assert len(homes) == 1
