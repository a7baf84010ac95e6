"""A training's states before its end, which are tried like its end: uploaded while it goes on.

stages/<kind>/<key>/<sha256>.<ext>    their files, as the commit will name them
<scratch>states/<number>.json         where those of one state are; what a resumed training need not make again
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from shared.artifacts import FileRef
from shared.canonical import sha256_file
from shared.runner import STATES, stage_file
from shared.store import ObjectStore
from shared.trials import FOLDER
from shared.units import Unit
from workers.trainer.pace import Pace


class Kept(BaseModel):
    """One state that is whole in the store."""

    schema_: str = "touchstone/state/1"
    number: int
    files: dict[str, FileRef]


class States:
    """Those of one training."""

    def __init__(self, store: ObjectStore, unit: Unit, scratch: str) -> None:
        self._store = store
        self._unit = unit
        self._prefix = f"{scratch}{STATES}"

    def upload(self, number: int, folder: Path, pace: Pace) -> None:
        """Upload a state's folder.

        Raises:
            Outage: the store is away; what was uploaded does not count.
            Stopped: `pace` has been ended meanwhile; nor does it then.
        """
        files = {}
        for path in sorted(folder.iterdir()):
            pace.rest()
            digest = sha256_file(path)
            target = stage_file(self._unit, path.name, digest)
            self._store.put_file(target, path, pace.rest, pace.at_once)
            files[path.name] = FileRef(object=target, sha256=digest, size=path.stat().st_size)
        kept = Kept(number=number, files=files)
        self._store.put(f"{self._prefix}{number}.json", kept.model_dump_json().encode())

    def files(self, folder: Path) -> dict[str, Path | FileRef]:
        """The files of all states by their names in the commit: those that still lie in `folder`, and uploaded ones.

        Raises:
            Outage: the store is away.
        """
        found: dict[str, Path | FileRef] = {}
        for info in self._store.list(self._prefix):
            kept = Kept.model_validate_json(self._store.get(info.name))
            found |= {f"{FOLDER}/{kept.number}/{name}": ref for name, ref in kept.files.items()}
        for path in sorted(folder.glob("*/*")):
            found[f"{FOLDER}/{path.parent.name}/{path.name}"] = path
        return found
