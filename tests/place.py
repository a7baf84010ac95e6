"""A place for stages to run in: a real store and Redis, the real runner, and inputs committed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import redis

from shared.artifacts import Artifact, CommitRef, StageResult, commit_prefix, read_commit
from shared.attempts import Marker, read_markers
from shared.canonical import content_key
from shared.context import StageContext
from shared.plan.model import stage_key
from shared.runner import Handler, Runner
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Unit


class Place:
    """Runs units as a worker would, in this process."""

    def __init__(self, settings: Settings, store: S3Store, client: redis.Redis) -> None:
        self.settings = settings
        self.store = store
        self.runner = Runner(settings, store, client)

    def close(self) -> None:
        self.runner.leases.close()

    def commit(self, name: str, files: dict[str, pa.Table | bytes | Path]) -> CommitRef:
        """Commit files as a stage of their own."""
        unit = Unit(key=content_key(name), kind="teach", params={})

        def handler(ctx: StageContext) -> StageResult:
            return StageResult(files)

        self.runner.run(unit, handler)
        return self.reference(unit)

    def commit_folder(self, name: str, folder: Path) -> CommitRef:
        return self.commit(name, {path.name: path for path in sorted(folder.iterdir())})

    def unit(self, kind: str, params: dict[str, Any], **inputs: CommitRef) -> Unit:
        """A unit as the conductor would queue it; `__` in an input's name stands for `/`."""
        named = {name.replace("__", "/"): ref for name, ref in inputs.items()}
        key = stage_key(kind, params, {name: ref.key for name, ref in named.items()})
        return Unit(key=key, kind=kind, params=params, inputs=named)

    def attempt(self, unit: Unit, handler: Handler) -> Marker:
        """Run a unit; returns how its attempt ended."""
        self.runner.run(unit, handler)
        return self.markers(unit)[-1]

    def markers(self, unit: Unit) -> list[Marker]:
        return read_markers(self.store, unit.attempts_prefix)

    def reference(self, unit: Unit) -> CommitRef:
        return read_commit(self.store, self._commits(unit)[0])[0]

    def artifact(self, unit: Unit) -> Artifact:
        return self.load(self.reference(unit))

    def load(self, reference: CommitRef) -> Artifact:
        return Artifact.load(self.store, reference, self.settings.data_dir / "cache")

    def committed(self, unit: Unit) -> bool:
        return bool(self._commits(unit))

    def log(self, unit: Unit) -> str:
        """All attempts' logs of a stage."""
        names = [info.name for info in self.store.list(f"scratch/{unit.key}/logs/")]
        return "".join(self.store.get(name).decode() for name in names)

    def _commits(self, unit: Unit) -> list[str]:
        return [info.name for info in self.store.list(commit_prefix(unit.commit_key))]
