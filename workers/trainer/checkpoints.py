"""A training's checkpoints in the store's scratch: uploaded whole, found again, pruned.

    <scratch>checkpoints/<step>.<upload>/<file>            the files, as transformers wrote them
    <scratch>checkpoints/<step>.<upload>/checkpoint.json   written last: each file's size and SHA-256

Two workers that overlap write to different uploads, and an upload counts only if every file is what its last object
says. These folders hold torch pickles (optimiser and RNG states), which is why they are never committed; they are read
with `weights_only=True`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import structlog
from pydantic import BaseModel

from shared.canonical import sha256_file
from shared.disk import check_room
from shared.store import NotFound, ObjectStore

log = structlog.get_logger()

MARKER = "checkpoint.json"
KEPT = 2
"""Whole checkpoints that stay while a training goes on: a damaged one gives way to the one before."""
# Saved by transformers beside what a resumption reads: its arguments as a pickle, and a model card.
UNNEEDED = frozenset({"training_args.bin", "README.md"})


class Marker(BaseModel):
    """A complete checkpoint: the step it was taken at, what the training had cost by then, and its files' SHA-256."""

    schema_: str = "touchstone/checkpoint/1"
    step: int
    device_seconds: float
    files: dict[str, str]


class Checkpoints:
    """One training's checkpoints, under `scratch` (which ends in a slash)."""

    def __init__(self, store: ObjectStore, scratch: str) -> None:
        self._store = store
        self._prefix = f"{scratch}checkpoints/"

    def upload(self, step: int, folder: Path, device_seconds: float, check: Callable[[], None]) -> None:
        """Upload a folder and then prune all but the last two. `check` is called between files and may raise.

        Raises:
            Outage: the store is away; what was uploaded does not count.
        """
        target = f"{self._prefix}{step:08d}.{uuid.uuid4().hex[:8]}/"
        files = {}
        for path in sorted(folder.iterdir()):
            if path.name in UNNEEDED:
                continue
            check()
            files[path.name] = sha256_file(path)
            self._store.put_file(target + path.name, path)
        marker = Marker(step=step, device_seconds=device_seconds, files=files)
        self._store.put(target + MARKER, marker.model_dump_json().encode())
        self._prune(step)

    def download_newest(self, target: Path) -> Marker | None:
        """Fetch the newest whole checkpoint into `target`, and say which; None if there is none.

        Raises:
            Outage: the store is away, or the disk has no room for it.
        """
        names = [info.name for info in self._store.list(self._prefix) if info.name.endswith(f"/{MARKER}")]
        for name in sorted(names, reverse=True):
            prefix = name.removesuffix(MARKER)
            size = sum(info.size for info in self._store.list(prefix))
            check_room(target.parent, size, "the checkpoint that the training goes on from")
            if marker := self._download(prefix, target):
                return marker
        return None

    def _download(self, prefix: str, target: Path) -> Marker | None:
        try:
            marker = Marker.model_validate_json(self._store.get(prefix + MARKER))
            target.mkdir(parents=True, exist_ok=True)
            for name, digest in marker.files.items():
                self._store.get_file(prefix + name, target / name)
                if sha256_file(target / name) != digest:
                    log.warning("checkpoint.damaged", file=prefix + name)
                    return None
        except NotFound as missing:
            log.warning("checkpoint.incomplete", file=str(missing))
            return None
        return marker

    def _prune(self, newest: int) -> None:
        """Delete what belongs to steps before `newest`, but for the last whole ones."""
        names = [info.name.removeprefix(self._prefix) for info in self._store.list(self._prefix)]
        whole = sorted(name.removesuffix(MARKER) for name in names if name.endswith(f"/{MARKER}"))
        kept = [upload for upload in whole if int(upload[:8]) <= newest][-KEPT:]
        stale = [name for name in names if int(name[:8]) < newest and not name.startswith(tuple(kept))]
        self._store.delete([self._prefix + name for name in stale])
