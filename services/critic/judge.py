"""The `judge` stage: one evaluation of one arm and seed, by whatever protocol the spec named."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from services.critic.compare import compare
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.protocols import PROTOCOLS


def judge(ctx: StageContext) -> StageResult:
    """Write judgements.parquet (JUDGEMENTS): the protocol's rows, from its inputs and the judge's verdicts."""
    params = ctx.unit.params
    protocol = PROTOCOLS[params["protocol"]]
    tables = {name: ctx.input(name).rows() for name in ctx.unit.inputs if name != "towards"}
    if ctx.unit.shard is not None:
        tables["samples"] = tables["samples"].slice(ctx.unit.shard.start, ctx.unit.shard.stop - ctx.unit.shard.start)
    comparisons = protocol.comparisons(tables, params)
    if comparisons is None:
        return _result(protocol.rows(tables, params, []), {}, Cost())
    compared = compare(ctx, params["judge"], comparisons)
    return _result(protocol.rows(tables, params, compared.verdicts), compared.metrics, compared.cost)


def _result(rows: pa.Table, metrics: dict[str, Any], cost: Cost) -> StageResult:
    valid = sum(rows["valid"].to_pylist())
    counts = {"valid": valid, "invalid": rows.num_rows - valid}
    return StageResult({"judgements.parquet": rows}, {**metrics, **counts}, cost)
