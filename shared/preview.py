"""A dry run: what an experiment would do, what is there already, and what it would ask of endpoints."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shared.plan import Plan, Stage
from shared.splits import rows_between

INPUT_TOKENS = 600
OUTPUT_TOKENS = 16
"""What is assumed of requests until the ledger's own history tells better."""


def preview(name: str, plan: Plan, counts: Mapping[str, int], committed: Collection[str]) -> dict[str, Any]:
    """The JSON of POST /v1/experiments/plan. `counts` are prompts by split, `committed` the keys that are done.

    Requests are an upper bound: identical completions need no critic, and answers in the ledger are not asked again.
    """
    stages = [_row(stage, plan, counts, stage.key in committed) for stage in plan.stages.values()]
    return {
        "name": name,
        "stages": stages,
        "counts": {"stages": len(stages), "reused": sum(row["reused"] for row in stages)},
        "requests": sum(row["requests"] for row in stages),
        "samples": sum(row["samples"] for row in stages),
        "tokens": {way: sum(row["tokens"][way] for row in stages) for way in ("input", "output")},
        "cost_usd": sum(row["cost_usd"] or 0.0 for row in stages),
        "assumption": f"{INPUT_TOKENS} tokens in for each request, and as many out as the model's max_tokens allows; "
        "models without a price are counted as free",
    }


def _row(stage: Stage, plan: Plan, counts: Mapping[str, int], reused: bool) -> dict[str, Any]:
    rows = stage_rows(stage, plan, counts)
    requests = 0 if reused else rows * _requests_a_row(stage)
    tokens = {"input": requests * INPUT_TOKENS, "output": requests * _max_tokens(stage)}
    return {
        "key": stage.key,
        "kind": stage.kind,
        "arms": stage.arms,
        "inputs": sorted(set(stage.inputs.values())),
        "reused": reused,
        "rows": rows,
        "requests": requests,
        "tokens": tokens,
        "cost_usd": _usd(stage, tokens),
        "samples": 0 if reused or stage.kind != "sample" else rows * int(stage.params["n"]),
    }


def stage_rows(stage: Stage, plan: Plan, counts: Mapping[str, int]) -> int:
    """How many prompts a stage works on."""
    if stage.kind == "prompts":
        return sum(counts[split] for split in ("train", "dev", "eval"))
    if "split" in stage.params:
        start, stop = rows_between(
            counts[stage.params["split"]], stage.params.get("start", 0.0), stage.params.get("stop", 1.0)
        )
        return stop - start
    for source in ("samples", "preferences", "demonstrations", "likelihoods"):
        if source in stage.inputs:
            return stage_rows(plan.stages[stage.inputs[source]], plan, counts)
    return 0


def _requests_a_row(stage: Stage) -> int:
    """Requests to an LLM endpoint for each row: none for recorded and offline models, two orders for a critic."""
    model = (
        stage.params.get("model") if stage.kind == "teach" else stage.params.get("critic", stage.params.get("judge"))
    )
    if stage.kind not in {"teach", "label", "judge"} or not model or model["provider"] in {"recorded", "similarity"}:
        return 0
    return 1 if stage.kind == "teach" else 2


def _model(stage: Stage) -> Mapping[str, Any] | None:
    """The identity of the model that a stage asks, if it asks one."""
    name = {"teach": "model", "label": "critic", "judge": "judge"}.get(stage.kind)
    model: Mapping[str, Any] | None = stage.params.get(name) if name else None
    return model


def _max_tokens(stage: Stage) -> int:
    return int(((_model(stage) or {}).get("sampling") or {}).get("max_tokens", OUTPUT_TOKENS))


def _usd(stage: Stage, tokens: Mapping[str, int]) -> float | None:
    """At the price that the spec gives, in US dollars; None where it gives none."""
    price = stage.options.get("price")
    if price is None:
        return None
    return float(tokens["input"] * price["input"] + tokens["output"] * price["output"]) / 1e6
