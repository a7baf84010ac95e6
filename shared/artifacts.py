"""Manifests and artifacts: what a committed stage is, and how its files are read.

A manifest is one attempt's commit, written last and never overwritten. Of several attempts' commits the oldest
(store's clock, then name) is *the* commit; `accepted` chooses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from shared import records
from shared.canonical import sha256_hex
from shared.errors import Outage
from shared.filecache import FileCache, Wanted
from shared.store import NotFound, ObjectInfo, ObjectStore
from shared.trials import FOLDER

MANIFEST_SCHEMA = "touchstone/manifest/1"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cost(Frozen):
    """What an attempt cost: US dollars of calls, seconds of a trainer's or engine's device."""

    usd: float = 0.0
    device_seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(usd=self.usd + other.usd, device_seconds=self.device_seconds + other.device_seconds)


class FileRef(Frozen):
    """One file of a stage: the object that holds it, its hash, bytes and (for Parquet) rows."""

    object: str
    sha256: str
    size: int
    rows: int | None = None


class CommitRef(Frozen):
    """One commit, as a consumer names it: the stage's key, the manifest's object and the manifest's hash."""

    key: str
    object: str
    sha256: str


class Manifest(Frozen):
    """What an attempt leaves in `commits/`. Times are ISO 8601 in UTC."""

    schema_: str = MANIFEST_SCHEMA
    key: str
    kind: str
    attempt: str
    files: dict[str, FileRef]
    inputs: dict[str, CommitRef]
    metrics: dict[str, Any]
    cost: Cost
    versions: dict[str, str]
    host: str
    started: str
    finished: str

    def to_json(self) -> bytes:
        return self.model_dump_json().replace('"schema_"', '"schema"', 1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        return cls.model_validate_json(data.replace(b'"schema"', b'"schema_"', 1))


@dataclass(frozen=True)
class StageResult:
    """What a handler returns: metrics, cost, and files by name (a table, bytes, a local file, or one in the store)."""

    files: dict[str, pa.Table | bytes | Path | FileRef]
    metrics: dict[str, Any] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)


def commit_prefix(key: str) -> str:
    """The prefix under which all attempts' commits of a key lie."""
    return f"commits/{key[:2]}/{key}."


def commit_name(key: str, attempt: str) -> str:
    return f"{commit_prefix(key)}{attempt}.json"


def commit_key_of(name: str) -> str:
    """The key that a commit object's name carries."""
    return name.rsplit("/", 1)[-1].split(".", 1)[0]


def oldest(commits: Iterable[ObjectInfo]) -> ObjectInfo | None:
    """*The* commit among several attempts': the oldest by the store's clock, then by name."""
    return min(commits, key=lambda info: (info.modified, info.name), default=None)


def read_commit(store: ObjectStore, name: str) -> tuple[CommitRef, Manifest]:
    """Read a manifest and the reference that consumers use for it."""
    data = store.get(name)
    manifest = Manifest.from_json(data)
    return CommitRef(key=manifest.key, object=name, sha256=sha256_hex(data)), manifest


class Artifact:
    """A committed stage's files, downloaded once into a cache; a folder alone is one without a limit."""

    def __init__(self, store: ObjectStore, manifest: Manifest, cache: FileCache | Path) -> None:
        self._store = store
        self._cache = FileCache(cache) if isinstance(cache, Path) else cache
        self.manifest = manifest
        self.key = manifest.key

    @classmethod
    def load(cls, store: ObjectStore, ref: CommitRef, cache: FileCache | Path) -> Artifact:
        """Read the manifest that `ref` names.

        Raises:
            Outage: it is not there or differs from what `ref` says (a store that lost or changed an object).
        """
        try:
            data = store.get(ref.object)
        except NotFound as error:
            raise Outage(f"object store: the commit {ref.object} is missing") from error
        if sha256_hex(data) != ref.sha256:
            raise Outage(f"object store: the commit {ref.object} is not what was committed")
        return cls(store, Manifest.from_json(data), cache)

    def table(self, file: str) -> pa.Table:
        """Read one of its Parquet files."""
        with self._cache.borrowed(self._store, self._wanted(file)) as path:
            return records.read(path)

    def rows(self) -> pa.Table:
        """Its rows, of a stage that leaves one Parquet file (every kind but the trainings and the report)."""
        (file,) = [name for name in self.manifest.files if name.endswith(".parquet")]
        return self.table(file)

    def path(self, file: str) -> Path:
        """A local copy of one of its files, checked against its hash; it stays while the cache is open."""
        return self._cache.path(self._store, self._wanted(file))

    def folder(self) -> Path:
        """A local folder with its files under their names, as `from_pretrained` takes it; it stays likewise.

        Without those below `checkpoints/`, which are other states of the model.
        """
        own = [name for name in self.manifest.files if not name.startswith(f"{FOLDER}/")]
        return self._cache.folder(self._store, {name: self._wanted(name) for name in own})

    def _wanted(self, file: str) -> Wanted:
        ref = self.manifest.files[file]
        return Wanted(ref.object, ref.sha256, ref.size)
