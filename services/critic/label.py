"""The `label` stage: preference pairs, from a policy's own samples or from recorded labels."""

from __future__ import annotations

from services.critic.compare import compare
from services.critic.pairs import choose_recorded, count, preference_row, sample_pairs
from services.critic.tables import input_tables
from shared import records
from shared.artifacts import StageResult
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.splits import rows_of_split


def label(ctx: StageContext) -> StageResult:
    """Write preferences.parquet (PREFERENCES): every pair, with its label or with why it has none.

    Raises:
        PermanentError: a prompt has no pair, or the critic's endpoint refused.
    """
    return _recorded(ctx) if ctx.unit.params["pairs"] == "recorded" else _on_policy(ctx)


def _on_policy(ctx: StageContext) -> StageResult:
    """A policy's own pairs, labelled by a critic; both orders' verdicts are kept."""
    tables = input_tables(ctx)
    pairs = sample_pairs(tables["samples"].to_pylist())
    compared = compare(ctx, ctx.unit.params["critic"], pairs, tables)
    rows = [
        preference_row(pair, verdicts.preference, verdicts)
        for pair, verdicts in zip(pairs, compared.verdicts, strict=True)
    ]
    table = records.from_rows(rows, records.PREFERENCES)
    return StageResult({"preferences.parquet": table}, {**compared.metrics, **count(rows)}, compared.cost)


def _recorded(ctx: StageContext) -> StageResult:
    """Recorded pairs of the range's prompts."""
    params, shard = ctx.unit.params, ctx.unit.shard
    all_prompts = ctx.input("prompts").rows().to_pylist()
    prompts = rows_of_split(all_prompts, params["split"], params["start"], params["stop"])
    if shard is not None:
        prompts = prompts[shard.start : shard.stop]
    chosen = choose_recorded(
        prompts,
        read_dataset(ctx.store, params["critic"]["dataset"]).to_pylist(),
        int(params["per_prompt"]),
        drop=params["critic"]["missing"] == "drop",
        name=ctx.unit.options.get("name", ""),
    )
    rows = [preference_row(pair, preference) for pair, preference in chosen]
    metrics = {**count(rows), "missing": len(prompts) - len({row["prompt_id"] for row in rows})}
    return StageResult({"preferences.parquet": records.from_rows(rows, records.PREFERENCES)}, metrics)
