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
from shared.plan import stage_key
from shared.runner import Runner
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Unit
from workers.trainer.stage import train


class Place:
    """Runs training stages as the worker would, in this process."""

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
        """A unit as the conductor would queue it."""
        named = {name.replace("__", "/"): ref for name, ref in inputs.items()}
        return Unit(
            key=stage_key(kind, params, {name: ref.key for name, ref in named.items()}),
            kind=kind,
            params=params,
            inputs=named,
        )

    def train(self, unit: Unit) -> Marker:
        """Run a unit; returns how its attempt ended."""
        self.runner.run(unit, train)
        return self.markers(unit)[-1]

    def markers(self, unit: Unit) -> list[Marker]:
        return read_markers(self.store, unit.attempts_prefix)

    def reference(self, unit: Unit) -> CommitRef:
        return read_commit(self.store, self._commits(unit)[0])[0]

    def artifact(self, unit: Unit) -> Artifact:
        return Artifact.load(self.store, self.reference(unit), self.settings.data_dir / "cache")

    def committed(self, unit: Unit) -> bool:
        return bool(self._commits(unit))

    def log(self, unit: Unit) -> str:
        """All attempts' logs of a stage."""
        names = [info.name for info in self.store.list(f"scratch/{unit.key}/logs/")]
        return "".join(self.store.get(name).decode() for name in names)

    def checkpoints(self, unit: Unit) -> set[int]:
        """The steps of complete checkpoints in the store."""
        names = [info.name for info in self.store.list(f"scratch/{unit.key}/checkpoints/")]
        return {int(name.split("/")[3][:8]) for name in names if name.endswith("/checkpoint.json")}

    def _commits(self, unit: Unit) -> list[str]:
        return [info.name for info in self.store.list(commit_prefix(unit.commit_key))]
