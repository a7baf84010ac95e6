"""Datasets: files in, checked rows by content hash out; every mistake names its place and the fix."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import datasets
from shared.errors import BadInput, PermanentError
from shared.filecache import FileCache
from shared.store import MemoryStore

DATA = Path(__file__).parents[4] / "shared" / "data" / "alpaca_eval"


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refused(path: Path, **given: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        datasets.prepare(path, **given)
    return caught.value


def test_jsonl_is_mapped_and_read_back(tmp_path: Path) -> None:
    store = MemoryStore()
    file = jsonl(
        tmp_path / "p.jsonl", [{"id": 7, "instruction": "Why?", "dataset": "x"}, {"id": 8, "instruction": "How?"}]
    )
    sha256 = datasets.add_dataset(store, "mine", file, {"prompt_id": "id", "prompt": "instruction"})
    info = datasets.find_dataset(store, "mine")
    assert info is not None
    assert (info.sha256, info.kind, info.rows, info.columns) == (sha256, "prompts", 2, ["prompt_id", "prompt"])
    assert datasets.read_dataset(store, sha256).to_pylist() == [
        {"prompt_id": "7", "prompt": "Why?"},
        {"prompt_id": "8", "prompt": "How?"},
    ]


def test_a_category_is_kept_where_rows_have_one(tmp_path: Path) -> None:
    rows = [{"prompt_id": "a", "prompt": "Why?", "category": "talk"}, {"prompt_id": "b", "prompt": "Add."}]
    for kept in (
        datasets.prepare(jsonl(tmp_path / "p.jsonl", rows)),
        datasets.prepare(pa.table({"prompt_id": ["a", "b"], "prompt": ["Why?", "Add."], "set": ["talk", ""]}),
                         {"category": "set"}),
    ):  # fmt: skip
        assert kept.table.column_names == ["prompt_id", "prompt", "category"]
        assert kept.table["category"].to_pylist() == ["talk", ""]


def test_a_file_s_own_category_that_is_no_text_is_left_alone_unless_it_was_named(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "p.jsonl", [{"prompt_id": "a", "prompt": "Why?", "category": ["x", "y"]}])
    assert datasets.prepare(file).table.column_names == ["prompt_id", "prompt"]
    assert refused(file, mapping={"category": "category"}).field == "file.category"
    numbers = pa.table({"prompt_id": ["a"], "prompt": ["Why?"], "category": [3]})
    assert datasets.prepare(numbers).table.column_names == ["prompt_id", "prompt"]


def test_the_three_formats_give_the_same_content(tmp_path: Path) -> None:
    store = MemoryStore()
    rows = [{"prompt_id": "a", "completion": 'one\n"two", three'}, {"prompt_id": "b", "completion": ""}]
    jsonl(tmp_path / "c.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    (tmp_path / "c.csv").write_text('prompt_id,completion,extra\na,"one\n""two"", three",1\nb,,2\n')
    hashes = {datasets.add_dataset(store, "same", tmp_path / f"c.{ending}") for ending in ("jsonl", "parquet", "csv")}
    assert len(hashes) == 1


def test_the_newest_name_counts_and_old_content_stays(tmp_path: Path) -> None:
    store = MemoryStore()
    old = datasets.add_dataset(store, "d", jsonl(tmp_path / "a.jsonl", [{"prompt_id": "1", "prompt": "x"}]))
    new = datasets.add_dataset(store, "d", jsonl(tmp_path / "b.jsonl", [{"prompt_id": "1", "prompt": "y"}]))
    info = datasets.find_dataset(store, "d")
    assert info is not None and info.sha256 == new != old
    assert datasets.read_dataset(store, old).num_rows == 1


def test_a_dataset_comes_once_where_there_is_a_cache(tmp_path: Path) -> None:
    store, cache = MemoryStore(), FileCache(tmp_path / "cache")
    sha256 = datasets.add_dataset(store, "d", jsonl(tmp_path / "a.jsonl", [{"prompt_id": "1", "prompt": "x"}]))
    assert [datasets.read_dataset(store, sha256, cache).num_rows for _ in range(2)] == [1, 1]
    assert (cache.used.misses, cache.used.hits) == (1, 1)
    store.put(f"datasets/{'0' * 64}.parquet", b"other")
    for missing, said in (("1" * 64, "not in the store"), ("0" * 64, "not what was added")):
        with pytest.raises(PermanentError, match=said):
            datasets.read_dataset(store, missing, cache)


def test_a_name_that_begins_another_name_is_not_taken_for_it(tmp_path: Path) -> None:
    store = MemoryStore()
    datasets.add_dataset(store, "gpt-3.5", jsonl(tmp_path / "a.jsonl", [{"prompt_id": "1", "prompt": "x"}]))
    assert datasets.find_dataset(store, "gpt-3") is None
    assert datasets.find_dataset(store, "gpt-3.5") is not None


def test_listing_goes_page_by_page(tmp_path: Path) -> None:
    store = MemoryStore()
    file = jsonl(tmp_path / "a.jsonl", [{"prompt_id": "1", "prompt": "x"}])
    for name in ("c", "a", "b", "a"):
        datasets.add_dataset(store, name, file)
    first, more = datasets.list_datasets(store, limit=2)
    rest, end = datasets.list_datasets(store, limit=2, after=more or "")
    assert [info.name for info in first + rest] == ["a", "b", "c"]
    assert (more, end) == ("b", None)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x" * 101, "a\n", "é"])
def test_unsafe_names_are_refused(name: str, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [{"prompt_id": "1", "prompt": "x"}])
    store = MemoryStore()
    with pytest.raises(BadInput) as caught:
        datasets.add_dataset(store, name, file)
    assert caught.value.field == "name"
    assert list(store.list("")) == []


def test_broken_jsonl_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt_id": "1", "prompt": "x"}\n\n{"prompt_id": "2", "prompt"\n')
    assert "line 3" in refused(file).problem
    file.write_text('["prompt_id"]\n')
    assert "line 1" in refused(file).problem
    file.write_bytes(b'{"prompt_id": "1", "prompt": "\xff"}\n')
    assert "line 1" in refused(file).problem


def test_a_nested_value_names_line_and_column(tmp_path: Path) -> None:
    error = refused(jsonl(tmp_path / "a.jsonl", [{"prompt_id": 1, "turns": ["a", "b"]}]), mapping={"prompt": "turns"})
    assert error.field == "file.turns"
    assert "line 1" in error.problem


def test_wrong_parquet_columns_say_what_is_there_and_what_to_map(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1"], "text": ["x"]}), tmp_path / "a.parquet")
    error = refused(tmp_path / "a.parquet")
    assert "id, text" in error.problem
    assert "--map prompt_id=…,prompt=…" in error.fix
    error = refused(tmp_path / "a.parquet", mapping={"prompt": "question"})
    assert error.field == "map.prompt" and "'question'" in error.problem and "id, text" in error.problem


def test_files_that_are_not_what_their_ending_says(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no parquet")
    assert "not a Parquet file" in refused(tmp_path / "a.parquet").problem
    (tmp_path / "a.csv").write_text("prompt_id,prompt\n1,x\n2,y,z\n")
    assert "Row #3" in refused(tmp_path / "a.csv").problem
    assert "JSONL" in refused(tmp_path / "a.xlsx").fix


def test_columns_that_cannot_be_told_apart_or_read(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["1"]), pa.array(["x"]), pa.array(["y"])], ["prompt_id", "prompt", "prompt"])
    pq.write_table(twice, tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("prompt_id,prompt,prompt\n1,x,y\n")
    for file in ("a.parquet", "a.csv"):
        error = refused(tmp_path / file)
        assert error.field == "file.prompt" and "two columns" in error.problem
    (tmp_path / "b.csv").write_bytes(b"prompt_id,\xff\n1,x\n")
    assert "UTF-8" in refused(tmp_path / "b.csv").problem


def test_parquet_texts_that_are_not_utf8(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    pq.write_table(pa.table({"prompt_id": ["1"], "prompt": broken}), tmp_path / "a.parquet")
    error = refused(tmp_path / "a.parquet")
    assert error.field == "file" and "UTF8" in error.problem


def test_a_quote_that_is_never_closed_loses_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('prompt_id,prompt\n1,"x\n2,y\n3,z\n')
    assert "never closed" in refused(tmp_path / "a.csv").problem


def test_parquet_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    table = pa.table({"prompt_id": [str(i) for i in range(5000)], "prompt": ["x" * 10_000] * 5000})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    assert "holds more than" in refused(tmp_path / "a.parquet", largest=10_000_000).problem


@pytest.mark.parametrize(
    ("rows", "field", "words"),
    [
        (
            [{"prompt_id": "1", "prompt": "x"}, {"prompt_id": "1", "prompt": "y"}],
            "file.prompt_id",
            "row 1 and again in row 2",
        ),
        ([{"prompt_id": "1", "prompt": "x"}, {"prompt_id": " ", "prompt": "y"}], "file.prompt_id", "row 2 is empty"),
        ([{"prompt_id": "1", "prompt": "x"}, {"prompt": "y"}], "file.prompt_id", "row 2 has none"),
        ([{"prompt_id": "1", "prompt": ""}], "file.prompt", "row 1 is empty"),
        ([{"prompt_id": "1", "completion": None}], "file.completion", "row 1 has none"),
        ([{"prompt_id": 1.5, "prompt": "x"}], "file.prompt_id", "double"),
        ([{"prompt_id": "1", "prompt": 10**400}], "file.prompt", "too large"),
        ([{"prompt_id": "1", "prompt": "\ud800"}], "file.prompt", "surrogate"),
    ],
)
def test_wrong_rows(rows: list[dict[str, Any]], field: str, words: str, tmp_path: Path) -> None:
    error = refused(jsonl(tmp_path / "a.jsonl", rows))
    assert error.field == field
    assert words in error.problem


def pair(preference: object) -> dict[str, object]:
    return {"prompt_id": "1", "completion_a": "x", "completion_b": "y", "preference": preference}


def test_unusable_preferences_are_dropped_and_counted(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [pair(1), pair(math.nan), pair(None), pair(0.25)])
    prepared = datasets.prepare(file)
    assert prepared.kind == "preferences"
    assert prepared.dropped == {"no usable preference": 2}
    assert prepared.table["preference"].to_pylist() == [1.0, 0.25]


def test_alpaca_evals_codes(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", [pair(1), pair(2), pair(0), pair(1.5)])
    assert datasets.prepare(file, preference="alpaca-eval").table["preference"].to_pylist() == [1.0, 0.0, 0.5, 0.5]
    error = refused(file)
    assert error.field == "file.preference" and "--preference alpaca-eval" in error.fix
    error = refused(jsonl(tmp_path / "b.jsonl", [pair(0.3)]), preference="alpaca-eval")
    assert "0.3" in error.problem
    assert "probability" in refused(jsonl(tmp_path / "c.jsonl", [pair(-1)])).fix


def test_no_row_left(tmp_path: Path) -> None:
    assert refused(jsonl(tmp_path / "a.jsonl", [pair(None)])).problem == "no row is left"
    (tmp_path / "b.jsonl").write_text("")
    assert "no column at all" in refused(tmp_path / "b.jsonl").problem


def test_mapping_is_parsed() -> None:
    assert datasets.parse_mapping(["prompt_id=id, prompt=instruction", "completion=a=b"]) == {
        "prompt_id": "id",
        "prompt": "instruction",
        "completion": "a=b",
    }
    for wrong in ("prompt", "=x", "promt=x", "prompt=a,prompt=b"):
        with pytest.raises(BadInput) as caught:
            datasets.parse_mapping([wrong])
        assert caught.value.field == "map"


def test_a_dataset_that_changed_in_the_store_is_noticed(tmp_path: Path) -> None:
    store = MemoryStore()
    sha256 = datasets.add_dataset(store, "d", jsonl(tmp_path / "a.jsonl", [{"prompt_id": "1", "prompt": "x"}]))
    store.put(f"datasets/{sha256}.parquet", b"other")
    with pytest.raises(PermanentError, match="changed"):
        datasets.read_dataset(store, sha256)
    with pytest.raises(PermanentError, match="not in the store"):
        datasets.read_dataset(store, "0" * 64)


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=20))
def test_any_text_survives_and_equal_rows_give_one_hash(pairs: list[tuple[str, str]]) -> None:
    rows = {str(index): text for index, (_, text) in enumerate(pairs)} or {"only": ""}
    table = pa.table({"prompt_id": list(rows), "completion": list(rows.values())})
    store = MemoryStore()
    first = datasets.add_dataset(store, "a", table)
    assert datasets.add_dataset(store, "b", table) == first
    assert dict(zip(*datasets.read_dataset(store, first).to_pydict().values(), strict=True)) == rows


def test_real_alpaca_eval(tmp_path: Path) -> None:
    if not DATA.exists():
        pytest.skip(f"the recorded data is not at {DATA}")
    store = MemoryStore()
    datasets.add_dataset(store, "prompts", DATA / "prompts.jsonl", {"prompt_id": "id", "prompt": "instruction"})
    datasets.add_dataset(store, "davinci", DATA / "completions" / "text_davinci_003.jsonl", {"prompt_id": "id"})
    mapping = {"prompt_id": "id", "completion_a": "output_1", "completion_b": "output_2"}
    datasets.add_dataset(store, "labels", DATA / "preferences_gpt4.parquet", mapping, preference="alpaca-eval")
    found = {info.name: info for info in datasets.list_datasets(store)[0]}
    assert {name: info.rows for name, info in found.items()} == {"prompts": 805, "davinci": 805, "labels": 8041}
    assert found["labels"].dropped == {"no usable preference": 9}
