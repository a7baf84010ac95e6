"""The `judge` stage: one evaluation of one arm and seed, by whatever protocol the spec named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from services.critic.asking import ask_about_turns
from services.critic.compare import compare
from services.critic.compared import Compared
from services.critic.critics import Critic
from services.critic.tables import input_tables
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.pairs import comparisons
from shared.protocols import PROTOCOLS


def judge(ctx: StageContext) -> StageResult:
    """Write judgements.parquet (JUDGEMENTS): the protocol's rows, from its inputs and the judge's verdicts."""
    params, tables = ctx.unit.params, input_tables(ctx)
    protocol = PROTOCOLS[params["protocol"]]
    if (talks := protocol.conversations(tables, params)) is not None:
        ratings, counted, usd = ask_about_turns(ctx, Critic.of(params, "judge", ctx.unit.options), talks)
        return _result(protocol.rated_rows(tables, params, ratings), counted, Cost(usd=usd))
    if "answers" in params:
        tables["answers"] = read_dataset(ctx.store, params["answers"])
    pairs = comparisons("judge", params, tables)
    compared = Compared([], {}, Cost())
    if pairs is not None:
        compared = compare(ctx, Critic.of(params, "judge", ctx.unit.options), pairs, tables)
    return _result(protocol.rows(tables, params, compared.verdicts), compared.metrics, compared.cost)


def _result(rows: pa.Table, counted: Mapping[str, Any], cost: Cost) -> StageResult:
    valid = sum(rows["valid"].to_pylist())
    metrics = {**counted, "valid": valid, "invalid": rows.num_rows - valid}
    return StageResult({"judgements.parquet": rows}, metrics, cost)
