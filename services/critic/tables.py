"""A stage's inputs as tables, cut to its shard."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from shared.context import StageContext
from shared.units import Shard


def input_tables(ctx: StageContext) -> dict[str, pa.Table]:
    """Every input's rows by its name; of `samples` only the shard's prompts."""
    tables = {name: ctx.input(name).rows() for name in ctx.unit.inputs}
    if ctx.unit.shard is not None and "samples" in tables:
        tables["samples"] = prompts_between(tables["samples"], ctx.unit.shard)
    return tables


def prompts_between(samples: pa.Table, shard: Shard) -> pa.Table:
    """All rows of a range of prompts, which are counted in their order of appearance."""
    prompts = pc.unique(samples["prompt_id"]).slice(shard.start, shard.stop - shard.start)
    return samples.filter(pc.is_in(samples["prompt_id"], value_set=prompts))
