"""Reading a person's file (JSONL, Parquet, CSV) into the columns of a dataset, with errors that say where and how."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from shared.errors import BadInput

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".csv": "csv"}


def file_format(filename: str) -> str:
    """`jsonl`, `parquet` or `csv`, by the file's ending.

    Raises:
        BadInput: another ending.
    """
    try:
        return FORMATS[Path(filename).suffix.lower()]
    except KeyError:
        raise BadInput("file", f"{filename!r} ends in none of {', '.join(FORMATS)}", "Save it as JSONL.") from None


def read_columns(
    path: Path, format: str, columns: Mapping[str, str], largest: int, lists: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Read some of a file's columns: `columns` maps our names to the file's, those that the file lacks are left out.

    Returns the columns found (as Arrow arrays under our names) and the names of all the file's columns. `largest`
    bounds the bytes in memory: a small Parquet file can hold very much. `lists` are those of our columns that may hold
    lists of texts.

    Raises:
        BadInput: the file is broken or too large; for JSONL and CSV it says in which line.
    """
    of_lists = {columns[ours] for ours in lists if ours in columns}
    readers = {
        "jsonl": lambda path, wanted, largest: _read_jsonl(path, wanted, of_lists),
        "csv": _read_csv,
        "parquet": _read_parquet,
    }
    try:
        table, present = readers[format](path, sorted(set(columns.values())), largest)
    except UnicodeDecodeError:
        raise BadInput("file", "a column's name is not UTF-8", "Save it as UTF-8.") from None
    return {ours: table.column(theirs) for ours, theirs in columns.items() if theirs in table.column_names}, present


def pick_columns(table: pa.Table, columns: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """`read_columns` for a table that is in memory already."""
    present = list(table.column_names)
    return {ours: table.column(theirs) for ours, theirs in columns.items() if theirs in present}, present


def _read_jsonl(path: Path, wanted: list[str], lists: Collection[str]) -> tuple[pa.Table, list[str]]:
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    seen: dict[str, None] = {}
    for number, row in _json_lines(path):
        seen.update(dict.fromkeys(row))
        for name in wanted:
            value = row.get(name)
            if name in lists and isinstance(value, list | str):
                value = _texts(name, number, value)
            elif isinstance(value, dict | list | bool):
                what = f"line {number} holds {json.dumps(value)[:60]}"
                raise BadInput(f"file.{name}", what, "Give a text or a number, or map another column.")
            columns[name].append(value)
    found = [name for name in wanted if name in seen]
    arrays = {name: (_list_array if name in lists else _plain_array)(name, columns[name]) for name in found}
    return pa.table(arrays), list(seen)


def _texts(name: str, number: int, value: Any) -> list[str]:
    """A text, or a list of texts, as a list of texts."""
    texts = [value] if isinstance(value, str) else value
    if odd := next((one for one in texts if not isinstance(one, str)), None):
        raise BadInput(f"file.{name}", f"line {number} has {str(odd)[:60]!r} in its list", "Give a list of texts.")
    return list(texts)


def _list_array(name: str, values: list[Any]) -> Any:
    if all(isinstance(value, list) or value is None for value in values):
        _plain_array(name, [text for value in values for text in value or ()])
        return pa.array(values, pa.list_(pa.string()))
    return _plain_array(name, values)


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise BadInput(
                    "file", f"line {number} is not JSON ({error})", "Each line is one JSON object."
                ) from None
            if not isinstance(row, dict):
                raise BadInput("file", f"line {number} is no JSON object", 'Each line is an object: {"id": …}')
            yield number, row


def _plain_array(name: str, values: list[Any]) -> Any:
    """Texts as texts, numbers as floats, a mixture of both as texts."""
    if all(value is None for value in values):
        return pa.nulls(len(values))
    if any(isinstance(value, str) for value in values):
        try:
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        except UnicodeEncodeError:
            problem = "a text holds half of a surrogate pair, which is no character"
            raise BadInput(f"file.{name}", problem, "Write it as valid UTF-8.") from None
    if all(isinstance(value, int) or value is None for value in values) and _fits(values):
        return pa.array(values, pa.int64())
    try:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    except OverflowError:
        raise BadInput(f"file.{name}", "a number is too large", "Give it as a text.") from None


def _fits(values: Iterable[int | None]) -> bool:
    return all(value is None or -(2**63) <= value < 2**63 for value in values)


def _read_csv(path: Path, wanted: list[str], largest: int) -> tuple[pa.Table, list[str]]:
    # Texts stay texts ("007" is no number), and an empty cell is an empty text, not a missing one.
    texts = [name for name in wanted if name != "preference"]
    _check_quotes(path)
    try:
        table = pa_csv.read_csv(
            path,
            # With threads its errors do not say in which row.
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise BadInput("file", f"not a CSV file: {error}", "Save it as UTF-8 CSV with one header line.") from None
    return table.select(_found(wanted, table.column_names)), list(table.column_names)


def _found(wanted: list[str], present: list[str]) -> list[str]:
    """Those of the wanted columns that the file has; one that it has twice could mean either."""
    for name in wanted:
        if present.count(name) > 1:
            raise BadInput(f"file.{name}", "the file has two columns of this name", "Rename or remove one.")
    return [name for name in wanted if name in present]


def _check_quotes(path: Path) -> None:
    """Arrow takes all rows after a quote that is never closed for one text; quotes that are all closed are even."""
    with path.open("rb") as file:
        quotes = sum(block.count(b'"') for block in iter(lambda: file.read(1 << 20), b""))
    if quotes % 2:
        problem = f"it has {quotes} double quotes, so one is never closed"
        raise BadInput("file", problem, 'Close it; within a text a quote is written twice: "".')


def _read_parquet(path: Path, wanted: list[str], largest: int) -> tuple[pa.Table, list[str]]:
    try:
        with pq.ParquetFile(path) as file:
            present = list(file.schema_arrow.names)
            found = _found(wanted, present)
            batches, size = [], 0
            for batch in file.iter_batches(batch_size=1024, columns=found):
                # Nothing else looks whether its texts are UTF-8.
                batch.validate(full=True)
                size += batch.nbytes
                if size > largest:
                    raise BadInput("file", f"holds more than {largest:,} bytes of text", "Split it.")
                batches.append(batch)
            schema = pa.schema([file.schema_arrow.field(name) for name in found])
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput("file", f"not a Parquet file: {error}", "Write it again.") from None
    return pa.Table.from_batches(batches, schema if not batches else None), present


def as_text(name: str, array: Any) -> pa.ChunkedArray:
    """A column as texts: whole numbers become texts (ids often are numbers), anything else is refused.

    Raises:
        BadInput: the column holds something else.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return as_text(name, pc.cast(array, kind.value_type))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return _chunked(pc.cast(array, pa.string()))
    if name == "prompt_id" and pa.types.is_integer(kind):
        return _chunked(pc.cast(array, pa.string()))
    raise BadInput(f"file.{name}", f"the column holds {kind}", "Give texts, or map another column to it.")


def as_texts(name: str, array: Any) -> pa.ChunkedArray:
    """A column as lists of texts; a text is a list of one.

    Raises:
        BadInput: the column holds something else.
    """
    kind, wanted = array.type, pa.list_(pa.string())
    if pa.types.is_null(kind):
        return _chunked(pc.cast(array, wanted))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        if pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type):
            return _chunked(pc.cast(array, wanted))
        raise BadInput(f"file.{name}", f"the column holds {kind}", "Give lists of texts, or rename the column.")
    texts = [None if text is None else [text] for text in as_text(name, array).to_pylist()]
    return pa.chunked_array([pa.array(texts, wanted)])


def first_of(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first text of each list; null where there is none."""
    return pa.chunked_array([pa.array([text[0] if text else None for text in texts.to_pylist()], pa.string())])


def as_number(name: str, array: Any) -> pa.ChunkedArray:
    """A column as floats; nulls stay null and NaN stays NaN.

    Raises:
        BadInput: a value is no number.
    """
    if pa.types.is_dictionary(array.type):
        array = pc.cast(array, array.type.value_type)
    try:
        return _chunked(pc.cast(array, pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(f"file.{name}", f"not all values are numbers: {error}", "Give numbers.") from None


def _chunked(array: Any) -> pa.ChunkedArray:
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
