"""Joining and filtering two arms' judgements."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from services.api.side_by_side import as_items, categories, chosen, counts, pair
from shared import records

PROMPTS = records.from_rows(
    [{"prompt_id": id, "prompt": text} for id, text in [("1", "Say Hello"), ("2", "count"), ("3", "sort"), ("4", "x")]],
    records.PROMPTS,
)


def judged(*rows: tuple[str, float | None, str | None, str | None]) -> pa.Table:
    """JUDGEMENTS of (prompt, score, verdicts in both orders)."""
    made = [
        {"prompt_id": id, "score": score, "valid": score is not None, "verdict_ab": ab, "verdict_ba": ba}
        | {"completion": f"answer {id}", "reference": f"reference {id}", "raw_ab": "words"}
        for id, score, ab, ba in rows
    ]
    return records.from_rows(made, records.JUDGEMENTS)


A = judged(("1", 100.0, "a", "a"), ("2", 50.0, "a", "b"), ("3", None, None, None), ("4", 0.0, "b", "b"))
B = judged(("4", 0.0, "b", "b"), ("3", 50.0, "tie", "tie"), ("2", 100.0, "a", "a"), ("1", 0.0, "b", "b"))


def prompts_of(rows: pa.Table) -> list[Any]:
    return [row["prompt_id"] for row in rows.to_pylist()]


def test_rows_of_one_prompt_meet_whatever_their_order() -> None:
    rows = pair(PROMPTS, A, B, [])
    assert prompts_of(rows) == ["1", "2", "3", "4"]
    assert rows["winner"].to_pylist() == ["a", "b", "unjudged", "tie"]
    assert rows["prompt"].to_pylist()[0] == "Say Hello"
    assert counts(rows) == {"a": 1, "b": 1, "tie": 1, "unjudged": 1, "orders": 1, "judges": 0}


def test_what_only_one_arm_has_is_left_out() -> None:
    assert prompts_of(pair(PROMPTS, A, B.slice(2), [])) == ["1", "2"]


def test_filters_by_text_winner_and_disagreement() -> None:
    rows = pair(PROMPTS, A, B, [])
    assert prompts_of(chosen(rows, "hello")) == ["1"]
    assert prompts_of(chosen(rows, ".*")) == []
    assert prompts_of(chosen(rows, winner="b")) == ["2"]
    assert prompts_of(chosen(rows, disagreement="orders")) == ["2"]


def test_filters_by_category_where_prompts_have_one() -> None:
    rows = pair(PROMPTS, A, B, [], {"1": "talk", "2": "tasks", "3": "tasks", "4": ""})
    assert prompts_of(chosen(rows, category="tasks")) == ["2", "3"]
    assert categories(rows) == {"talk": 1, "tasks": 2}
    bare = pair(PROMPTS, A, B, [])
    assert categories(bare) == {} and prompts_of(chosen(bare, category="tasks")) == []
    assert [row["category"] for row in as_items(rows, ("left", "right"))] == ["talk", "tasks", "tasks", ""]


def test_another_judge_that_says_the_opposite_is_told() -> None:
    rows = pair(PROMPTS, A, B, [(B, A)])
    assert prompts_of(chosen(rows, disagreement="judges")) == ["1", "2"]


def test_rows_without_prompts_or_words_are_shown_as_far_as_they_go() -> None:
    bare = A.select(["prompt_id", "score", "valid"])
    (first, *_) = as_items(pair(None, bare, bare, []), ("left", "right"))
    assert first["prompt"] is None and first["a"] == {
        "arm": "left",
        "completion": None,
        "score": 100.0,
        "verdict_ab": None,
        "verdict_ba": None,
        "raw_ab": None,
        "raw_ba": None,
        **dict.fromkeys(("completion_2", "score_1", "score_2", "raw_1", "raw_2")),
    }
