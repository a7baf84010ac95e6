"""Units of work: what one Celery message asks a worker to do."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shared.artifacts import CommitRef, Frozen
from shared.canonical import sha256_hex


class Shard(Frozen):
    """Rows [start, stop) of a stage's row list."""

    start: int
    stop: int


class Unit(Frozen):
    """A whole stage, one shard of it (`shard`), or the gathering of its shards (`parts`).

    `params` and `inputs` are what the key was made of; `options` (credentials' names, limits, prices) are not.
    `experiment` and `generation` say on whose behalf it runs: failures are theirs alone. `stale` are commits of this
    unit that are not accepted, because they read an input's commit that lost.
    """

    key: str
    kind: str
    params: dict[str, Any]
    options: dict[str, Any] = {}
    inputs: dict[str, CommitRef] = {}
    shard: Shard | None = None
    parts: tuple[CommitRef, ...] | None = None
    experiment: str = ""
    generation: int = 0
    stale: tuple[str, ...] = ()

    @property
    def commit_key(self) -> str:
        """What this unit commits under: the stage's key, or the shard's own."""
        return self.key if self.shard is None else shard_key(self.key, self.shard)

    def own(self, rows: pa.Table) -> pa.Table:
        """Of the stage's rows, those that this unit does."""
        return rows if self.shard is None else rows.slice(self.shard.start, self.shard.stop - self.shard.start)

    @property
    def attempts_prefix(self) -> str:
        return attempts_prefix(self.key, self.commit_key)


def shard_key(stage_key: str, shard: Shard) -> str:
    return sha256_hex(f"{stage_key}/{shard.start}-{shard.stop}")


def cut(rows: int, size: int) -> list[Shard]:
    """Shards of at most `size` rows that cover `rows`."""
    return [Shard(start=start, stop=min(start + size, rows)) for start in range(0, rows, size)]


def attempts_prefix(stage_key: str, commit_key: str) -> str:
    """Where a unit's attempts leave their markers."""
    return f"scratch/{stage_key}/attempts/{commit_key}."
