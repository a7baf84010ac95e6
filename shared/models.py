"""Model folders that users add: immutable files by content hash, and names beside them.

    models/<sha256>/<file>                 the folder's files; <sha256> is the hash of their names and hashes
    models/manifests/<sha256>.json         what the folder holds; written last
    models/names/<name>.<ulid>.json        what a name means; the newest counts (shared/names.py)

Only files that hold weights or text are taken. Pickles are refused: loading one runs whatever code is in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from shared.canonical import content_key, sha256_file
from shared.errors import BadInput, PermanentError
from shared.filecache import FileCache, Wanted, WrongContent
from shared.names import check_name, newest_record, newest_records, write_record
from shared.store import ObjectStore

SCHEMA = "touchstone/model/1"
NAMES = "models/names"
TAKEN = (".safetensors", ".gguf", ".json", ".txt", ".model", ".jinja")
WEIGHTS = (".safetensors", ".gguf")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


@dataclass(frozen=True)
class ModelInfo:
    """What a name means: the folder's hash, its files' sizes in bytes, and when it was added."""

    name: str
    sha256: str
    files: dict[str, int]
    created: str = ""

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def check_file(name: str) -> str:
    """Return a file's path in a model folder if it may be taken.

    Raises:
        BadInput: a pickle, an ending that no model needs, or an unsafe path.
    """
    field = f"files.{name[:120]}"
    path = PurePosixPath(name)
    if path.is_absolute() or not all(SEGMENT.fullmatch(part) for part in name.split("/")):
        raise BadInput(field, "is not a safe path inside a folder", "Use letters, digits, dots and dashes.")
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        fix = "Save the weights as safetensors (`model.save_pretrained(folder)`) and leave this file out."
        raise BadInput(field, "is a pickle, which can run code when it is loaded", fix)
    if suffix not in TAKEN:
        raise BadInput(field, "is no file that a model is loaded from", f"Leave it out; taken are {', '.join(TAKEN)}.")
    return name


def check_folder(names: Iterable[str]) -> None:
    """Check that a set of files makes a model.

    Raises:
        BadInput: a file may not be taken, or weights or their config.json are missing.
    """
    files = {check_file(name) for name in names}
    suffixes = {PurePosixPath(name).suffix.lower() for name in files}
    if not suffixes & set(WEIGHTS):
        raise BadInput("files", "hold no weights", "Add *.safetensors or *.gguf.")
    if ".gguf" not in suffixes and "config.json" not in files:
        raise BadInput("files", "lack config.json", "Add the folder that `save_pretrained` wrote, as a whole.")
    for name in files:
        if any(str(parent) in files for parent in PurePosixPath(name).parents):
            raise BadInput(f"files.{name}", "lies in a folder that is also a file", "Rename one of the two.")


def add_model(store: ObjectStore, name: str, folder: Path) -> str:
    """Store a folder and let `name` mean it: returns the content's SHA-256.

    Raises:
        BadInput: the name is not safe, or the folder holds no model (see `check_folder`).
        Outage: the store is away.
    """
    return publish_model(store, name, folder).sha256


def publish_model(store: ObjectStore, name: str, folder: Path) -> ModelInfo:
    """`add_model`, telling all that the name means now."""
    return publish_files(store, name, model_files(folder))


def publish_files(store: ObjectStore, name: str, paths: Mapping[str, Path]) -> ModelInfo:
    """`publish_model` of files that lie anywhere, by their paths in the model's folder."""
    check_name(name)
    check_folder(paths)
    hashes = {file: sha256_file(path) for file, path in sorted(paths.items())}
    sha256 = content_key(hashes)
    sizes = {file: path.stat().st_size for file, path in sorted(paths.items())}
    if not store.exists(_manifest(sha256)):
        for file, path in paths.items():
            store.put_file(f"models/{sha256}/{file}", path)
        manifest = {"schema": SCHEMA, "sha256": sha256, "files": hashes}
        store.put(_manifest(sha256), json.dumps(manifest).encode())
    info = ModelInfo(name, sha256, sizes, datetime.now(UTC).isoformat(timespec="milliseconds"))
    write_record(store, NAMES, name, {"schema": SCHEMA, **asdict(info)})
    return info


def model_files(folder: Path) -> dict[str, Path]:
    """A folder's files that make the model, by their paths in it; pickles too, so that they are refused by name.

    Hidden files and what comes beside a model (README.md, licences, pictures) are left out.
    """
    paths = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        inside.as_posix(): path
        for inside, path in paths.items()
        if path.suffix.lower() in TAKEN + PICKLES and not any(part.startswith(".") for part in inside.parts)
    }


def find_model(store: ObjectStore, name: str) -> ModelInfo | None:
    """What `name` means now; None if nobody added a model of this name. Raises `BadInput` on an unsafe name."""
    record = newest_record(store, NAMES, name)
    return None if record is None else _info(record)


def list_models(store: ObjectStore, limit: int | None = None, after: str = "") -> tuple[list[ModelInfo], str | None]:
    """Models by name, those after the name `after`; and the name to go on after, None at the end."""
    found, more = newest_records(store, NAMES, limit, after)
    return [_info(record) for record in found], more


def fetch_model(store: ObjectStore, sha256: str, cache: FileCache) -> Path:
    """A local copy of a model folder, each file checked against its hash; it stays while the cache is open.

    Raises:
        PermanentError: the store lacks it, or holds something else under its name.
        Outage: the store is away, or the disk has no room.
    """
    try:
        hashes: dict[str, str] = json.loads(store.get(_manifest(sha256)))["files"]
        prefix = f"models/{sha256}/"
        sizes = {info.name.removeprefix(prefix): info.size for info in store.list(prefix)}
        files = {file: Wanted(prefix + file, digest, sizes[file]) for file, digest in hashes.items()}
        return cache.folder(store, files)
    except KeyError as error:
        raise PermanentError(f"the model {sha256} is not in the store: {error.args[0]} is missing") from error
    except WrongContent as error:
        raise PermanentError(
            f"the model {sha256} is not what was added: a file changed in the store: {error}"
        ) from error


def _manifest(sha256: str) -> str:
    return f"models/manifests/{sha256}.json"


def _info(record: dict[str, Any]) -> ModelInfo:
    return ModelInfo(record["name"], record["sha256"], record["files"], record["created"])
