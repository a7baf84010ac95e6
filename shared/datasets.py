"""Datasets that users add: immutable Parquet by content hash, and names beside them.

    datasets/<sha256>.parquet              the rows, named by the hash of the file's bytes
    datasets/names/<name>.<ulid>.json      what a name means; the newest counts (shared/names.py)

A dataset is of one kind: prompts, completions or preferences, known by its columns after mapping.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared import records, tables
from shared.canonical import sha256_hex
from shared.errors import BadInput, PermanentError
from shared.filecache import FileCache, Wanted, WrongContent
from shared.names import check_name, newest_record, newest_records, write_record
from shared.store import NotFound, ObjectStore

Kind = Literal["prompts", "completions", "preferences"]
PreferenceScale = Literal["probability", "alpaca-eval"]

SCHEMA = "touchstone/dataset/1"
NAMES = "datasets/names"
LARGEST = 512 * 1024 * 1024

# The first columns are needed, the rest may be given.
COLUMNS: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "preferences": (("prompt_id", "completion_a", "completion_b", "preference"), ("prompt",)),
    "completions": (("prompt_id", "completion"), ("prompt", "category")),
    "prompts": (("prompt_id", "prompt"), ("turns", "category", "reference")),
}
ALL_COLUMNS = (
    *("prompt_id", "prompt", "category", "completion", "completion_a", "completion_b", "preference"),
    *("turns", "reference"),
)
LISTS = ("turns", "reference")
"""Columns of several texts each: the turns of a prompt, of which the first is `prompt`, and right answers, one a turn.
A single text is a list of one."""
# AlpacaEval's codes, as the probability that output_1 is the better one.
ALPACA_EVAL = {1.0: 1.0, 2.0: 0.0, 0.0: 0.5, 1.5: 0.5}


@dataclass(frozen=True)
class DatasetInfo:
    """What a name means: the content's hash, its kind, its rows and columns, and the rows left out, by reason."""

    name: str
    sha256: str
    kind: Kind
    rows: int
    columns: list[str]
    dropped: dict[str, int] = field(default_factory=dict)
    created: str = ""
    origin: dict[str, str] = field(default_factory=dict)
    """Of a hub's dataset: `hub` (its name), `revision` (the commit) and `files`. Empty of an upload."""


@dataclass(frozen=True)
class Prepared:
    """A file that was read, mapped and checked, and may be published under a name."""

    kind: Kind
    table: pa.Table
    dropped: dict[str, int]


def parse_mapping(parts: Sequence[str]) -> dict[str, str]:
    """Our column names to the file's, from `prompt_id=id,prompt=instruction`, in one text or several.

    Raises:
        BadInput: a part is not `ours=theirs`, names none of our columns, or names one twice.
    """
    mapping: dict[str, str] = {}
    for piece in (piece.strip() for part in parts for piece in part.split(",")):
        if not piece:
            continue
        ours, equals, theirs = (text.strip() for text in piece.partition("="))
        if not (ours and equals and theirs):
            raise BadInput("map", f"{piece!r} is no mapping", "Write column=name_in_the_file.")
        if ours not in ALL_COLUMNS:
            raise BadInput("map", f"{ours!r} is none of our columns", f"Use one of: {', '.join(ALL_COLUMNS)}.")
        if ours in mapping:
            raise BadInput("map", f"{ours!r} is mapped twice", "Map each column once.")
        mapping[ours] = theirs
    return mapping


def prepare(
    source: Path | pa.Table,
    mapping: Mapping[str, str] | None = None,
    kind: Kind | None = None,
    *,
    format: str | None = None,
    preference: PreferenceScale = "probability",
    largest: int = LARGEST,
) -> Prepared:
    """Read a file or table, map its columns and check its rows. `format` is the file's, where its name does not say.

    Raises:
        BadInput: the file is broken, its columns are not those of a dataset, or a row is wrong.
    """
    mapping = dict(mapping or {})
    found, present = _columns(source, mapping, format, largest)
    for ours, theirs in mapping.items():
        if ours not in found:
            problem = f"the file has no column {theirs!r}; it has {_listed(present)}"
            raise BadInput(f"map.{ours}", problem, "Name one of the file's columns.")
    if "turns" in found and "prompt" not in found:
        found["prompt"] = tables.first_of(tables.as_texts("turns", found["turns"]))
    chosen = _kind_of(found, present, kind)
    typed = {
        name: _typed(name, array) for name, array in found.items() if name in COLUMNS[chosen][0] + COLUMNS[chosen][1]
    }
    if "category" in typed:
        # Only some rows may have one.
        typed["category"] = pc.fill_null(typed["category"], "")
    table = pa.table({name: typed[name] for name in ALL_COLUMNS if name in typed})
    dropped: dict[str, int] = {}
    if chosen == "preferences":
        table, unusable = _preferences(table, preference)
        dropped = {"no usable preference": unusable} if unusable else {}
    _check_rows(table, chosen)
    return Prepared(chosen, table.combine_chunks(), dropped)


def _typed(name: str, array: Any) -> pa.ChunkedArray:
    if name in LISTS:
        return tables.as_texts(name, array)
    return tables.as_number(name, array) if name == "preference" else tables.as_text(name, array)


def _columns(
    source: Path | pa.Table, mapping: Mapping[str, str], format: str | None, largest: int
) -> tuple[dict[str, Any], list[str]]:
    """Our columns of a file or table, and the names of all of its columns."""
    # A column of the file that is mapped to one of ours is no other one, whatever it is called.
    columns = {name: mapping.get(name, name) for name in ALL_COLUMNS if name in mapping or name not in mapping.values()}

    def read() -> tuple[dict[str, Any], list[str]]:
        if isinstance(source, Path):
            form = format or tables.file_format(source.name)
            return tables.read_columns(source, form, columns, largest, LISTS)
        return tables.pick_columns(source, columns)

    try:
        found, present = read()
        if "category" in found:
            tables.as_text("category", found["category"])
    except BadInput as error:
        # A file's own `category`, which nobody has named, may hold anything.
        if error.field != "file.category" or "category" in mapping:
            raise
        del columns["category"]
        found, present = read()
    return found, present


def publish(store: ObjectStore, name: str, prepared: Prepared, origin: Mapping[str, str] | None = None) -> DatasetInfo:
    """Store a prepared dataset and let `name` mean it; `origin` says where it came from (`DatasetInfo`).

    Raises:
        BadInput: the name is not safe.
        Outage: the store is away.
    """
    check_name(name)
    data = records.to_bytes(prepared.table)
    sha256 = sha256_hex(data)
    if not store.exists(_object(sha256)):
        store.put(_object(sha256), data)
    info = DatasetInfo(
        name,
        sha256,
        prepared.kind,
        prepared.table.num_rows,
        list(prepared.table.column_names),
        prepared.dropped,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        dict(origin or {}),
    )
    write_record(store, NAMES, name, {"schema": SCHEMA, **asdict(info)})
    return info


def add_dataset(
    store: ObjectStore,
    name: str,
    source: Path | pa.Table,
    mapping: Mapping[str, str] | None = None,
    kind: Kind | None = None,
    preference: PreferenceScale = "probability",
) -> str:
    """`prepare` and `publish` in one: returns the content's SHA-256."""
    check_name(name)
    return publish(store, name, prepare(source, mapping, kind, preference=preference)).sha256


def find_dataset(store: ObjectStore, name: str) -> DatasetInfo | None:
    """What `name` means now; None if nobody added a dataset of this name. Raises `BadInput` on an unsafe name."""
    record = newest_record(store, NAMES, name)
    return None if record is None else _info(record)


def list_datasets(
    store: ObjectStore, limit: int | None = None, after: str = ""
) -> tuple[list[DatasetInfo], str | None]:
    """Datasets by name, those after the name `after`; and the name to go on after, None at the end."""
    found, more = newest_records(store, NAMES, limit, after)
    return [_info(record) for record in found], more


def read_dataset(store: ObjectStore, sha256: str, cache: FileCache | None = None) -> pa.Table:
    """A dataset's rows by content hash, from the local cache where one is given.

    Raises:
        PermanentError: the store lacks it, or holds something else under its name.
    """
    changed = f"the dataset {sha256} is not what was added: its bytes changed in the store"
    try:
        if cache is not None:
            return _cached(store, sha256, cache)
        data = store.get(_object(sha256))
    except NotFound as error:
        raise PermanentError(f"the dataset {sha256} is not in the store") from error
    except WrongContent as error:
        raise PermanentError(changed) from error
    if sha256_hex(data) != sha256:
        raise PermanentError(changed)
    return pq.read_table(io.BytesIO(data))


def _cached(store: ObjectStore, sha256: str, cache: FileCache) -> pa.Table:
    name = _object(sha256)
    size = next((info.size for info in store.list(name) if info.name == name), None)
    if size is None:
        raise NotFound(name)
    with cache.borrowed(store, Wanted(name, sha256, size)) as path:
        return pq.read_table(path)


def _object(sha256: str) -> str:
    return f"datasets/{sha256}.parquet"


def _info(record: dict[str, Any]) -> DatasetInfo:
    return DatasetInfo(**{key: value for key, value in record.items() if key != "schema"})


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "no column at all"


def _kind_of(found: Mapping[str, Any], present: Sequence[str], kind: Kind | None) -> Kind:
    if kind is not None and kind not in get_args(Kind):
        raise BadInput("kind", f"{kind!r} is no kind of dataset", f"Use one of: {', '.join(get_args(Kind))}.")
    for candidate in [kind] if kind else COLUMNS:
        missing = [name for name in COLUMNS[candidate][0] if name not in found]
        if not missing:
            return candidate
    likely = kind or _likeliest(found)
    missing = [name for name in COLUMNS[likely][0] if name not in found]
    maps = ",".join(f"{name}=…" for name in missing)
    problem = f"{likely} need {' and '.join(missing)}; the file has {_listed(present)}"
    raise BadInput("map", problem, f"Map the file's columns: --map {maps}")


def _likeliest(found: Mapping[str, Any]) -> Kind:
    if {"completion_a", "completion_b", "preference"} & set(found):
        return "preferences"
    return "completions" if "completion" in found else "prompts"


def _preferences(table: pa.Table, scale: PreferenceScale) -> tuple[pa.Table, int]:
    """The rows with a usable preference, as the probability that a is better, and how many had none."""
    values = table.column("preference").to_pylist()
    keep = [value is not None and value == value for value in values]
    usable = [value for value, kept in zip(values, keep, strict=True) if kept]
    if scale == "alpaca-eval":
        if odd := next((value for value in usable if value not in ALPACA_EVAL), None):
            fix = "Leave `preference: alpaca-eval` out if these are probabilities."
            raise BadInput("file.preference", f"{odd} is none of AlpacaEval's codes 0, 1, 1.5 and 2", fix)
        usable = [ALPACA_EVAL[value] for value in usable]
    elif odd := next((value for value in usable if not 0 <= value <= 1), None):
        codes = set(usable) <= set(ALPACA_EVAL)
        fix = (
            "For AlpacaEval's codes say --preference alpaca-eval."
            if codes
            else "Give the probability that a is better."
        )
        raise BadInput("file.preference", f"{odd} is outside [0, 1]", fix)
    kept_rows = table.filter(pa.array(keep, pa.bool_()))
    position = kept_rows.column_names.index("preference")
    return kept_rows.set_column(position, "preference", pa.array(usable, pa.float64())), len(values) - len(usable)


def _check_rows(table: pa.Table, kind: Kind) -> None:
    if table.num_rows == 0:
        raise BadInput("file", "no row is left", "Give a file with at least one usable row.")
    if "turns" in table.column_names:
        _check_turns(table)
    for name in table.column_names:
        array = table.column(name)
        if array.null_count and name not in COLUMNS["prompts"][1]:
            row = pc.index(pc.is_null(array), True).as_py() + 1
            raise BadInput(f"file.{name}", f"row {row} has none", "Fill it in or leave the row out.")
    for name in ("prompt_id", "prompt"):
        if name in table.column_names:
            empty = pc.index(pc.equal(pc.utf8_trim_whitespace(table.column(name)), ""), True).as_py()
            if empty >= 0:
                raise BadInput(f"file.{name}", f"row {empty + 1} is empty", "Fill it in or leave the row out.")
    if kind != "preferences":
        _check_unique(table.column("prompt_id"))


def _check_turns(table: pa.Table) -> None:
    """Where a prompt has turns, the first of them is the prompt itself, and all say something."""
    for row, (prompt, turns) in enumerate(zip(*(table[n].to_pylist() for n in ("prompt", "turns")), strict=True), 1):
        if turns is None:
            continue
        if not turns or not all((turn or "").strip() for turn in turns):
            raise BadInput("file.turns", f"row {row} has an empty turn", "Give texts that say something.")
        if turns[0] != prompt:
            fix = "Leave the prompt out: it is the first turn."
            raise BadInput("file.turns", f"in row {row} the first turn is not the prompt", fix)


def _check_unique(ids: pa.ChunkedArray) -> None:
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    first: dict[str, int] = {}
    for row, prompt_id in enumerate(ids.to_pylist(), start=1):
        if prompt_id in first:
            problem = f"{prompt_id!r} is in row {first[prompt_id]} and again in row {row}"
            raise BadInput("file.prompt_id", problem, "Give every prompt one row and an id of its own.")
        first[prompt_id] = row
