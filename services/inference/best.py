"""The stage `best`: of each prompt's samples the one that a reward model likes most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from shared.artifacts import StageResult
from shared.context import StageContext
from shared.errors import PermanentError


def best(ctx: StageContext) -> StageResult:
    """Keep one of each prompt's samples.

    Inputs: samples (COMPLETIONS) and rewards (REWARDS of the same rows in the same order). Writes completions.parquet:
    a row a prompt, in the samples' order, each with the sample_index 0.

    Raises:
        PermanentError: the rewards are of other samples.
    """
    samples, rewards = ctx.input("samples").rows(), ctx.input("rewards").rows()
    names = ["prompt_id", "sample_index"]
    if samples.select(names).to_pylist() != rewards.select(names).to_pylist():
        raise PermanentError("rewards: they are of other samples than those to choose from")
    given = rewards["reward"].to_pylist()
    kept = places(samples["prompt_id"].to_pylist(), given)
    table = samples.take(pa.array(kept, pa.int64()))
    first = table.schema.get_field_index("sample_index")
    table = table.set_column(first, table.schema.field(first), pa.array([0] * len(kept), pa.int32()))
    found = table.to_pylist()
    metrics: dict[str, Any] = {
        "prompts": len(kept),
        "completions": len(kept),
        "samples": samples.num_rows,
        "reward_of_all": _mean(given),
        "reward_of_best": _mean([given[place] for place in kept]),
        "truncated": sum(row["finish_reason"] == "length" for row in found),
        "empty": sum(not row["completion"].strip() for row in found),
    }
    return StageResult({"completions.parquet": table}, metrics)


def places(prompts: Sequence[str], rewards: Sequence[float]) -> list[int]:
    """Where each prompt's best sample is, prompts in the order in which they come first. Of equal ones the first; what
    is no number is the least."""
    found: dict[str, int] = {}
    for place, (prompt, reward) in enumerate(zip(prompts, rewards, strict=True)):
        if prompt not in found or _rank(reward) > _rank(rewards[found[prompt]]):
            found[prompt] = place
    return list(found.values())


def _rank(reward: float) -> float:
    return -math.inf if math.isnan(reward) else reward


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else None
