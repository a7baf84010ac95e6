"""The `judge` stage: one evaluation of one arm and seed, by whatever protocol the spec named."""

from __future__ import annotations

from services.critic.compare import compare
from services.critic.compared import Compared
from services.critic.critics import Critic
from services.critic.tables import input_tables
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.pairs import comparisons
from shared.protocols import PROTOCOLS


def judge(ctx: StageContext) -> StageResult:
    """Write judgements.parquet (JUDGEMENTS): the protocol's rows, from its inputs and the judge's verdicts."""
    params, tables = ctx.unit.params, input_tables(ctx)
    protocol = PROTOCOLS[params["protocol"]]
    pairs = comparisons("judge", params, tables)
    compared = Compared([], {}, Cost())
    if pairs is not None:
        compared = compare(ctx, Critic.of(params, "judge", ctx.unit.options), pairs, tables)
    rows = protocol.rows(tables, params, compared.verdicts)
    valid = sum(rows["valid"].to_pylist())
    metrics = {**compared.metrics, "valid": valid, "invalid": rows.num_rows - valid}
    return StageResult({"judgements.parquet": rows}, metrics, compared.cost)
