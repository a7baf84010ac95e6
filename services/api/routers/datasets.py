"""/v1/datasets: upload and list prompts, completions and preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from fastapi import APIRouter, Depends, Request

from services.api.deps import Caller, Limit, NameCursor, SettingsDep, Store, caller
from services.api.openapi import form
from services.api.problems import responses
from services.api.schemas import Dataset, DatasetList
from services.api.uploads import Upload, receive
from shared import datasets, hub, tables
from shared.errors import BadInput
from shared.names import check_name
from shared.settings import Settings
from shared.store import ObjectStore

router = APIRouter(
    prefix="/v1/datasets", tags=["datasets"], dependencies=[Depends(caller)], responses=responses(401, 403, 503)
)

MAP = "our columns from the file's: prompt_id=id,prompt=instruction; may be given several times"
HUB = "in place of `file`: a dataset of the Hugging Face hub, OWNER/NAME or OWNER/NAME@REVISION, pinned to its commit"
HUB_FILE = "which of its files, or a pattern of Parquet files; needed where there are several"
FORM = form(
    {
        "name": {"type": "string", "description": "the name that specs use: dataset:NAME", "example": "alpaca-eval"},
        "file": {"type": "string", "format": "binary", "description": "JSONL, Parquet or CSV, by its name's ending"},
        "hub": {"type": "string", "description": HUB, "example": "tatsu-lab/alpaca_eval@main"},
        "hub_file": {"type": "string", "description": HUB_FILE, "example": "data/train-*.parquet"},
        "map": {"type": "array", "items": {"type": "string"}, "description": MAP},
        "kind": {"type": "string", "enum": list(get_args(datasets.Kind)), "description": "default: by its columns"},
        "preference": {
            "type": "string",
            "enum": list(get_args(datasets.PreferenceScale)),
            "description": "what the preference column holds: the probability that a is better, or AlpacaEval's codes",
        },
    },
    ["name"],
)


@router.post("", status_code=201, openapi_extra=FORM, responses=responses(413, 415, 422))
async def add_dataset(request: Request, store: Store, settings: SettingsDep, who: Caller) -> Dataset:
    """Upload a file under a name, or take a hub's dataset as it is now. The content is immutable; the same name again
    means the newer content."""
    limit, setting = settings.max_dataset_bytes, "TOUCHSTONE_MAX_DATASET_BYTES"
    async with receive(request, settings.data_dir, limit, setting) as upload:
        info = await to_thread.run_sync(_add, upload, store, settings)
    return Dataset(**asdict(info))


@router.get("", responses=responses(422))
def list_datasets(store: Store, limit: Limit = 50, cursor: NameCursor = "") -> DatasetList:
    """Datasets by name."""
    found, more = datasets.list_datasets(store, limit, cursor)
    return DatasetList(items=[Dataset(**asdict(info)) for info in found], next_cursor=more)


def _add(upload: Upload, store: ObjectStore, settings: Settings) -> datasets.DatasetInfo:
    upload.only(["name", "map", "kind", "preference", "hub", "hub_file"], ["file"])
    name = check_name(upload.one("name"))
    if "hub" in upload.fields:
        return _add_hub(upload, name, store, settings)
    if "hub_file" in upload.fields:
        raise BadInput("hub_file", "is a file of no dataset", "Name the hub's dataset too, as the field `hub`.")
    filename, path = _file(upload)
    return datasets.publish(store, name, _prepared(path, tables.file_format(filename), upload, settings))


def _add_hub(upload: Upload, name: str, store: ObjectStore, settings: Settings) -> datasets.DatasetInfo:
    """Take files of a hub's dataset, as they are at the commit that its name stands for now."""
    if upload.files:
        raise BadInput("file", "is given beside `hub`", "Send one of the two.")
    wanted = hub.find_files("hub", upload.one("hub"), upload.maybe("hub_file") or "", settings.max_dataset_bytes)
    with TemporaryDirectory(prefix="hub-", dir=settings.data_dir) as folder:
        paths = hub.download("hub", wanted, Path(folder))
        source = paths[0] if len(paths) == 1 else _joined(paths)
        prepared = _prepared(source, tables.file_format(paths[0].name), upload, settings)
    return datasets.publish(store, name, prepared, wanted.origin)


def _prepared(source: Path | pa.Table, format: str, upload: Upload, settings: Settings) -> datasets.Prepared:
    return datasets.prepare(
        source,
        datasets.parse_mapping(upload.fields.get("map", [])),
        cast(Any, upload.maybe("kind")),
        format=format,
        preference=_scale(upload.maybe("preference")),
        # Columns unfold in memory; one that is read at all must stay near its size on disk.
        largest=4 * settings.max_dataset_bytes,
    )


def _joined(paths: Sequence[Path]) -> pa.Table:
    try:
        return pa.concat_tables([pq.read_table(path) for path in paths])
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput("hub_file", f"its files make no one table: {error}", "Name one of them.") from None


def _file(upload: Upload) -> tuple[str, Path]:
    files = [(name, path) for field, name, path in upload.files if field == "file"]
    if len(files) != 1:
        problem = "is missing" if not files else "is given twice"
        raise BadInput("file", problem, "Send one file as the form's field `file`.")
    return files[0]


def _scale(given: str | None) -> datasets.PreferenceScale:
    scales = get_args(datasets.PreferenceScale)
    if given is not None and given not in scales:
        raise BadInput("preference", f"{given!r} is unknown", f"Use one of: {', '.join(scales)}.")
    return cast(datasets.PreferenceScale, given or "probability")
