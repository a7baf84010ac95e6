"""Prompts of several turns, by category and with right answers: how their columns are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.teacher.prompts import with_more
from shared import datasets, records
from shared.errors import BadInput

ROWS: list[dict[str, Any]] = [
    {"question_id": 81, "category": "math", "turns": ["One?", "And two?"], "answer": ["1", "2"]},
    {"question_id": 82, "category": "stem", "turns": ["Why?", "How?"], "answer": None},
]
MAP = {"prompt_id": "question_id", "reference": "answer"}


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_turns_categories_and_references_are_kept_and_the_first_turn_is_the_prompt(tmp_path: Path) -> None:
    found = datasets.prepare(jsonl(tmp_path / "p.jsonl", ROWS), MAP)
    assert found.kind == "prompts"
    assert found.table.to_pylist() == [
        {"prompt_id": "81", "prompt": "One?", "turns": ["One?", "And two?"], "category": "math",
         "reference": ["1", "2"]},
        {"prompt_id": "82", "prompt": "Why?", "turns": ["Why?", "How?"], "category": "stem", "reference": None},
    ]  # fmt: skip


def test_parquet_lists_and_single_texts_are_read_alike(tmp_path: Path) -> None:
    whole = [{**row, "answer": row["answer"] and row["answer"][:1]} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(whole), tmp_path / "p.parquet")
    texts = [{**row, "answer": row["answer"] and row["answer"][0]} for row in ROWS]
    one, other = (
        datasets.prepare(tmp_path / "p.parquet", MAP),
        datasets.prepare(jsonl(tmp_path / "t.jsonl", texts), MAP),
    )
    assert one.table.equals(other.table)
    (tmp_path / "p.csv").write_text("prompt_id,prompt,reference\na,What is 2 + 2?,4\n")
    (row,) = datasets.prepare(tmp_path / "p.csv").table.to_pylist()
    assert row == {"prompt_id": "a", "prompt": "What is 2 + 2?", "reference": ["4"]}


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ({"turns": ["One?", 2]}, "file.turns", "Give a list of texts"),
        ({"turns": [["One?"]]}, "file.turns", "Give a list of texts"),
        ({"turns": ["One?", " "]}, "file.turns", "row 1 has an empty turn"),
        ({"turns": []}, "file.turns", "row 1 has an empty turn"),
        ({"turns": ["One?"], "prompt": "Two?"}, "file.turns", "Leave the prompt out"),
        ({"turns": {"a": 1}}, "file.turns", "line 1 holds"),
        ({"prompt": ["One?"]}, "file.prompt", "line 1 holds"),
    ],
)
def test_what_is_no_turn_is_refused_with_its_place(tmp_path: Path, row: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        datasets.prepare(jsonl(tmp_path / "p.jsonl", [{"prompt_id": "a", **row}]))
    assert caught.value.field == field
    assert says in f"{caught.value.problem}. {caught.value.fix}"


def test_the_prompts_in_their_splits_carry_them_along() -> None:
    dataset = pa.table({"prompt_id": ["a", "b"], "prompt": ["x", "y"], "turns": [["x", "z"], None]})
    split = [{"prompt_id": id, "prompt": text, "split": "eval", "rank": at} for at, (id, text) in enumerate([("b", "y"),
             ("a", "x")])]  # fmt: skip
    found = with_more(records.from_rows(split, records.PROMPTS), dataset)
    assert found.to_pylist()[0] == {**split[0], "turns": None}
    assert found.to_pylist()[1] == {**split[1], "turns": ["x", "z"]}
    plain = dataset.select(["prompt_id", "prompt"])
    assert with_more(records.from_rows(split, records.PROMPTS), plain).schema.equals(records.PROMPTS)
