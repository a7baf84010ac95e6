"""The `label` stage: preference pairs, from a policy's own samples or from recorded labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from services.critic.compare import compare
from shared import records
from shared.artifacts import StageResult
from shared.canonical import sha256_hex
from shared.comparisons import Comparison, Verdicts
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.splits import rows_of_split


def label(ctx: StageContext) -> StageResult:
    """Write preferences.parquet (PREFERENCES), both orders' verdicts kept."""
    if ctx.unit.params["pairs"] == "recorded":
        rows = _recorded(ctx)
        dropped = Counter(row["dropped"] for row in rows if row["dropped"])
        metrics: dict[str, Any] = {"pairs": len(rows), "dropped": dict(dropped)}
        return StageResult({"preferences.parquet": records.from_rows(rows, records.PREFERENCES)}, metrics)
    pairs = sample_pairs(ctx.input("samples").rows())
    if ctx.unit.shard is not None:
        pairs = pairs[ctx.unit.shard.start : ctx.unit.shard.stop]
    compared = compare(ctx, ctx.unit.params["critic"], pairs)
    rows = [preference_row(pair, verdicts) for pair, verdicts in zip(pairs, compared.verdicts, strict=True)]
    dropped = Counter(row["dropped"] for row in rows if row["dropped"])
    table = records.from_rows(rows, records.PREFERENCES)
    return StageResult({"preferences.parquet": table}, {**compared.metrics, "dropped": dict(dropped)}, compared.cost)


def sample_pairs(samples: pa.Table) -> list[Comparison]:
    """The first two samples of each prompt, in the order of the table."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for row in samples.to_pylist():
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    return [
        Comparison(prompt_id, rows[0]["prompt"], rows[0]["completion"], rows[1]["completion"])
        for prompt_id, rows in by_prompt.items()
        if len(rows) >= 2
    ]


def preference_row(pair: Comparison, verdicts: Verdicts) -> dict[str, Any]:
    """One row: the preference, and which completion is chosen, or why there is no training pair."""
    preference = verdicts.preference
    row: dict[str, Any] = {
        "prompt_id": pair.prompt_id,
        "prompt": pair.prompt,
        "completion_a": pair.a,
        "completion_b": pair.b,
        "verdict_ab": verdicts.ab,
        "verdict_ba": verdicts.ba,
        "preference": preference,
        "raw_ab": verdicts.raw_ab,
        "raw_ba": verdicts.raw_ba,
        "dropped": drop_reason(pair, preference),
    }
    if row["dropped"] is None:
        assert preference is not None
        row["chosen"], row["rejected"] = (pair.a, pair.b) if preference > 0.5 else (pair.b, pair.a)
    return row


def drop_reason(pair: Comparison, preference: float | None) -> str | None:
    """Why a pair teaches nothing; None if it does."""
    if pair.a == pair.b:
        return "identical"
    if preference is None:
        return "unparsable"
    if preference == 0.5:
        return "tie"
    chosen = pair.a if preference > 0.5 else pair.b
    return None if chosen.strip() else "empty"


def _recorded(ctx: StageContext) -> list[dict[str, Any]]:
    """Recorded pairs of the range's prompts."""
    params = ctx.unit.params
    prompts: Sequence[Mapping[str, Any]] = rows_of_split(
        ctx.input("prompts").rows().to_pylist(), params["split"], params["start"], params["stop"]
    )
    if ctx.unit.shard is not None:
        prompts = prompts[ctx.unit.shard.start : ctx.unit.shard.stop]
    table = read_dataset(ctx.store, params["critic"]["dataset"])
    return recorded_rows(prompts, table.to_pylist(), int(params["per_prompt"]))


def recorded_rows(
    prompts: Iterable[Mapping[str, Any]], recorded: Iterable[Mapping[str, Any]], per_prompt: int
) -> list[dict[str, Any]]:
    """At most `per_prompt` recorded pairs of each prompt, decided ones first, then by their content's hash."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in recorded:
        found.setdefault(row["prompt_id"], []).append(row)
    rows = []
    for prompt in prompts:
        mine = sorted(found.get(prompt["prompt_id"], ()), key=_order)[:per_prompt]
        rows += [_recorded_row(prompt, row) for row in mine]
    return rows


def _order(row: Mapping[str, Any]) -> tuple[bool, str]:
    return row["preference"] in (None, 0.5), sha256_hex(f"{row['completion_a']}\0{row['completion_b']}")


def _recorded_row(prompt: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    pair = Comparison(prompt["prompt_id"], prompt["prompt"], row["completion_a"] or "", row["completion_b"] or "")
    made = preference_row(pair, Verdicts(None, None))
    preference = row["preference"]
    made |= {"preference": preference, "dropped": drop_reason(pair, preference)}
    if made["dropped"] is None:
        made["chosen"], made["rejected"] = (pair.a, pair.b) if preference > 0.5 else (pair.b, pair.a)
    return made
