"""The inference queue's stages, run as its worker would, on a few inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from services.inference.best import best
from services.inference.keeper import Keeper
from services.inference.reward import Raters, reward
from services.inference.sample import sample
from services.inference.score import score
from shared.artifacts import Artifact, CommitRef, StageResult
from shared.attempts import Marker
from shared.context import StageContext
from shared.records import COMPLETIONS, PREFERENCES, PROMPTS, from_rows
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Unit
from tests import place

RATERS = Raters()
HANDLERS: dict[str, Callable[[StageContext, Keeper], StageResult]] = {
    "sample": sample,
    "score": score,
    "reward": lambda ctx, keeper: reward(ctx, RATERS),
    "best": lambda ctx, keeper: best(ctx),
}
SAMPLING = {"split": "eval", "seed": 0, "n": 1, "temperature": 1.0, "max_tokens": 12}


class Place(place.Place):
    """Runs the inference queue's units in this process."""

    def __init__(self, settings: Settings, store: S3Store, client: redis.Redis, keeper: Keeper) -> None:
        super().__init__(settings, store, client)
        self.keeper = keeper

    def checkpoint(self, folder: Path) -> CommitRef:
        return self.commit_folder(f"checkpoint {folder.name}", folder)

    def prompts(self, count: int, split: str = "eval") -> CommitRef:
        """`count` prompts of a split and a few of another, in an order that is not their rank's."""
        rows = [
            {"prompt_id": f"p{rank}", "prompt": f"What is {rank} + {rank * 7 % 5}?", "split": split, "rank": rank}
            for rank in reversed(range(count))
        ]
        rows += [{"prompt_id": f"o{rank}", "prompt": "?", "split": "dev", "rank": rank} for rank in range(3)]
        return self.commit(f"prompts {count} {split}", {"prompts.parquet": from_rows(rows, PROMPTS)})

    def commit_prompts(self, texts: list[tuple[str, str]]) -> CommitRef:
        """Prompts of the eval split, each with its id, in their rank's order."""
        rows = [
            {"prompt_id": name, "prompt": text, "split": "eval", "rank": rank}
            for rank, (name, text) in enumerate(texts)
        ]
        return self.commit(f"prompts {texts}", {"prompts.parquet": from_rows(rows, PROMPTS)})

    def demonstrations(self, rows: list[dict[str, Any]]) -> CommitRef:
        return self.commit(f"demonstrations {rows}", {"completions.parquet": from_rows(rows, COMPLETIONS)})

    def preferences(self, rows: list[dict[str, Any]]) -> CommitRef:
        return self.commit(f"preferences {rows}", {"preferences.parquet": from_rows(rows, PREFERENCES)})

    def run(self, unit: Unit) -> Marker:
        """Run a unit; returns how its attempt ended."""
        handler = HANDLERS[unit.kind]
        return self.attempt(unit, lambda ctx: handler(ctx, self.keeper))

    def done(self, unit: Unit) -> Artifact:
        """Run a unit that must commit; returns what it left."""
        marker = self.run(unit)
        assert marker.outcome == "committed", marker.message
        return self.artifact(unit)

    def rows(self, unit: Unit) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.done(unit).rows().to_pylist()
        return found
