"""A place for stages to run in: a real store and Redis, the real runner, and inputs committed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import redis

from services.inference.keeper import Keeper
from services.inference.sample import sample
from services.inference.score import score
from shared.artifacts import Artifact, CommitRef, StageResult, commit_prefix, read_commit
from shared.attempts import Marker, read_markers
from shared.canonical import content_key
from shared.context import StageContext
from shared.plan import stage_key
from shared.records import COMPLETIONS, PREFERENCES, PROMPTS, from_rows
from shared.runner import Runner
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Shard, Unit

HANDLERS = {"sample": sample, "score": score}
SAMPLING = {"split": "eval", "seed": 0, "n": 1, "temperature": 1.0, "max_tokens": 12}


class Place:
    """Runs the inference queue's units as the worker would, in this process."""

    def __init__(self, settings: Settings, store: S3Store, client: redis.Redis, keeper: Keeper) -> None:
        self.settings = settings
        self.store = store
        self.runner = Runner(settings, store, client)
        self.keeper = keeper

    def close(self) -> None:
        self.runner.leases.close()

    def commit(self, name: str, files: dict[str, pa.Table | bytes | Path]) -> CommitRef:
        """Commit files as a stage of their own."""
        unit = Unit(key=content_key(name), kind="teach", params={})

        def handler(ctx: StageContext) -> StageResult:
            return StageResult(files)

        self.runner.run(unit, handler)
        return self.reference(unit)

    def checkpoint(self, folder: Path) -> CommitRef:
        return self.commit(f"checkpoint {folder.name}", {path.name: path for path in sorted(folder.iterdir())})

    def prompts(self, count: int, split: str = "eval") -> CommitRef:
        """`count` prompts of a split and a few of another, in an order that is not their rank's."""
        rows = [
            {"prompt_id": f"p{rank}", "prompt": f"What is {rank} + {rank * 7 % 5}?", "split": split, "rank": rank}
            for rank in reversed(range(count))
        ]
        rows += [{"prompt_id": f"o{rank}", "prompt": "?", "split": "dev", "rank": rank} for rank in range(3)]
        return self.commit(f"prompts {count} {split}", {"prompts.parquet": from_rows(rows, PROMPTS)})

    def demonstrations(self, rows: list[dict[str, Any]]) -> CommitRef:
        return self.commit(f"demonstrations {rows}", {"completions.parquet": from_rows(rows, COMPLETIONS)})

    def preferences(self, rows: list[dict[str, Any]]) -> CommitRef:
        return self.commit(f"preferences {rows}", {"preferences.parquet": from_rows(rows, PREFERENCES)})

    def unit(self, kind: str, params: dict[str, Any], shard: Shard | None = None, **inputs: CommitRef) -> Unit:
        """A unit as the conductor would queue it."""
        key = stage_key(kind, params, {name: ref.key for name, ref in inputs.items()})
        return Unit(key=key, kind=kind, params=params, inputs=inputs, shard=shard)

    def run(self, unit: Unit) -> Marker:
        """Run a unit; returns how its attempt ended."""
        handler = HANDLERS[unit.kind]
        self.runner.run(unit, lambda ctx: handler(ctx, self.keeper))
        return read_markers(self.store, unit.attempts_prefix)[-1]

    def done(self, unit: Unit) -> Artifact:
        """Run a unit that must commit; returns what it left."""
        marker = self.run(unit)
        assert marker.outcome == "committed", marker.message
        return self.artifact(unit)

    def artifact(self, unit: Unit) -> Artifact:
        return Artifact.load(self.store, self.reference(unit), self.settings.data_dir / "cache")

    def rows(self, unit: Unit) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.done(unit).rows().to_pylist()
        return found

    def log(self, unit: Unit) -> str:
        """All attempts' logs of a stage."""
        names = [info.name for info in self.store.list(f"scratch/{unit.key}/logs/")]
        return "".join(self.store.get(name).decode() for name in names)

    def artifact_folder(self, reference: CommitRef) -> Path:
        return Artifact.load(self.store, reference, self.settings.data_dir / "cache").folder()

    def reference(self, unit: Unit) -> CommitRef:
        (info,) = list(self.store.list(commit_prefix(unit.commit_key)))
        return read_commit(self.store, info.name)[0]
