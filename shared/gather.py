"""Gathering: a sharded stage's parts become its one artifact."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Number
from typing import Any

import pyarrow as pa

from shared.artifacts import Artifact, Cost, StageResult
from shared.context import StageContext


def gather(ctx: StageContext) -> StageResult:
    """Concatenate the shards' tables in order; add up their numbers and costs."""
    assert ctx.unit.parts is not None
    parts = [Artifact.load(ctx.store, ref, ctx.cache) for ref in ctx.unit.parts]
    # A shard from before a column was added lacks it: null there.
    files = {
        name: pa.concat_tables([part.table(name) for part in parts], promote_options="default")
        for name in parts[0].manifest.files
    }
    cost = sum((part.manifest.cost for part in parts), Cost())
    return StageResult(dict(files), add_metrics(part.manifest.metrics for part in parts), cost)


def add_metrics(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add numbers up, also in nested counts; of anything else keep the first."""
    total: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name not in total:
                total[name] = value
            elif isinstance(value, dict):
                total[name] = add_metrics([total[name], value])
            elif isinstance(value, Number) and not isinstance(value, bool):
                total[name] += value
    return total
