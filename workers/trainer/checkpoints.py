"""A training's checkpoints in the store's scratch: uploaded whole, found again, pruned.

    <scratch>checkpoints/<step>.<upload>/<file>            the files, as transformers wrote them
    <scratch>checkpoints/<step>.<upload>/checkpoint.json   written last: each file's size and SHA-256

Two workers that overlap write to different uploads, and an upload counts only if every file is what its last object
says. These folders hold torch pickles (optimiser and RNG states), which is why they are never committed; they are read
with `weights_only=True`, but for DeepSpeed's, which it reads its own way.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import structlog
from pydantic import BaseModel

from shared.canonical import sha256_file
from shared.disk import check_room
from shared.store import NotFound, ObjectStore
from workers.trainer.pace import Pace

log = structlog.get_logger()

MARKER = "checkpoint.json"
KEPT = 2
"""Whole checkpoints that stay while a training goes on: a damaged one gives way to the one before."""
# Saved by transformers beside what a resumption reads: its arguments as a pickle, and a model card.
UNNEEDED = frozenset({"training_args.bin", "README.md"})
FSDP_WEIGHTS = "pytorch_model_fsdp.bin"
"""What FSDP resumes from, beside which transformers leaves the same weights as a model folder would have them."""


class Marker(BaseModel):
    """A complete checkpoint: the step it was taken at, what the training had cost by then, and its files' SHA-256."""

    schema_: str = "touchstone/checkpoint/1"
    step: int
    device_seconds: float
    files: dict[str, str]
    layout: str = "ddp"


class Checkpoints:
    """One training's checkpoints, under `scratch` (which ends in a slash).

    `layout` is what a training must be to go on from one: how its ranks share the model. Others' are left alone.
    """

    def __init__(self, store: ObjectStore, scratch: str, layout: str = "ddp") -> None:
        self._store = store
        self._layout = layout
        self._prefix = f"{scratch}checkpoints/"

    def upload(self, step: int, folder: Path, device_seconds: float, pace: Pace) -> None:
        """Upload a folder and then prune all but the last two.

        Raises:
            Outage: the store is away; what was uploaded does not count.
            Stopped: `pace` has been ended meanwhile; nor does it then.
        """
        target = f"{self._prefix}{step:08d}.{uuid.uuid4().hex[:8]}/"
        files = {}
        for path in needed(folder):
            pace.rest()
            name = path.relative_to(folder).as_posix()
            files[name] = sha256_file(path)
            self._store.put_file(target + name, path, pace.rest, pace.at_once)
        marker = Marker(step=step, device_seconds=device_seconds, files=files, layout=self._layout)
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
            if marker.layout != self._layout:
                log.info("checkpoint.of_another_layout", file=prefix, layout=marker.layout)
                return None
            for name, digest in marker.files.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
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


def needed(folder: Path) -> list[Path]:
    """The files of a checkpoint that a resumption reads, in the folders that DeepSpeed makes too."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in UNNEEDED]
    if (folder / FSDP_WEIGHTS).exists():
        found = [path for path in found if ".safetensors" not in path.suffixes]
    return found
