"""The `label` stage: preference pairs, of a policy's samples, against a teacher's completions, or recorded ones."""

from __future__ import annotations

from services.critic.compare import compare
from services.critic.critics import Critic
from services.critic.pairs import best_and_worst, choose_recorded, count, preference_row
from services.critic.tables import input_tables
from shared import records
from shared.artifacts import StageResult
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.pairs import comparisons
from shared.splits import rows_of_split


def label(ctx: StageContext) -> StageResult:
    """Write preferences.parquet (PREFERENCES): every pair, with its label or with why it has none.

    Raises:
        PermanentError: a prompt has no pair, or the critic's endpoint refused.
    """
    if ctx.unit.params["pairs"] == "given":
        return _checked(ctx)
    return _recorded(ctx) if ctx.unit.params["pairs"] == "recorded" else _asked(ctx)


def _asked(ctx: StageContext) -> StageResult:
    """A policy's own samples in pairs, or against a teacher's completions, labelled by a critic."""
    params, tables = ctx.unit.params, input_tables(ctx)
    pairs = comparisons("label", params, tables) or []
    compared = compare(ctx, Critic.of(params, "critic", ctx.unit.options), pairs, tables)
    kept, verdicts = (
        best_and_worst(pairs, compared.verdicts) if params.get("choose") == "best_worst" else (pairs, compared.verdicts)
    )
    rows = [preference_row(pair, given.preference, given) for pair, given in zip(kept, verdicts, strict=True)]
    missing = len(set(tables["samples"]["prompt_id"].to_pylist())) - len({row["prompt_id"] for row in rows})
    metrics = {**compared.metrics, **count(rows), "compared": len(pairs), "missing": missing}
    return StageResult({"preferences.parquet": records.from_rows(rows, records.PREFERENCES)}, metrics, compared.cost)


def _checked(ctx: StageContext) -> StageResult:
    """Recorded pairs, labelled by a critic that is to be compared with their labels."""
    params, tables = ctx.unit.params, input_tables(ctx)
    pairs = comparisons("label", params, tables) or []
    compared = compare(ctx, Critic.of(params, "critic", ctx.unit.options), pairs, tables)
    rows = [preference_row(pair, given.preference, given) for pair, given in zip(pairs, compared.verdicts, strict=True)]
    metrics = {**compared.metrics, **count(rows)}
    return StageResult({"preferences.parquet": records.from_rows(rows, records.PREFERENCES)}, metrics, compared.cost)


def _recorded(ctx: StageContext) -> StageResult:
    """Recorded pairs of the range's prompts."""
    params = ctx.unit.params
    wanted = rows_of_split(ctx.input("prompts").rows(), params["split"], params["start"], params["stop"])
    prompts = ctx.unit.own(wanted).to_pylist()
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
