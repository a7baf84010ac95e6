"""What the estimate finds in the ledger is what the worker asked: both make their requests from the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.api.estimate import estimate
from shared import records
from shared.artifacts import CommitRef, Cost, FileRef, Manifest, commit_name
from shared.canonical import sha256_hex
from shared.plan.experiment import plan
from shared.plan.model import Stage
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import prompt_splits, resolve
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import run, unit
from tests.stack import Stack
from tests.unit.specs import spec_with

CRITERIA = [{"name": "right", "text": "It is right.", "weight": 2}, {"name": "short", "text": "It is short."}]
ASKS: list[dict[str, Any]] = [
    {"kind": "pairwise"},
    {"kind": "pairwise", "order": "random"},
    {"kind": "pairwise", "verdict": "logprobs"},
    {"kind": "score"},
    {"kind": "score", "reference": "strong"},
    {"kind": "rubric", "criteria": CRITERIA},
    {"kind": "checklist", "criteria": CRITERIA},
]


def commit(stack: Stack, stage: Stage, rows: list[dict[str, Any]]) -> CommitRef:
    """Commit a stage as if it had left these completions."""
    data = records.to_bytes(records.from_rows(rows, records.COMPLETIONS))
    name = f"stages/{stage.kind}/{stage.key}/{sha256_hex(data)}.parquet"
    stack.store.put(name, data)
    ref = FileRef(object=name, sha256=sha256_hex(data), size=len(data), rows=len(rows))
    manifest = Manifest(
        key=stage.key, kind=stage.kind, attempt="a", files={"rows.parquet": ref}, inputs={}, versions={}, host="h",
        metrics={"prompts": len(rows)}, cost=Cost(), started="", finished="",
    )  # fmt: skip
    stack.store.put(commit_name(stage.key, "a"), manifest.to_json())
    return CommitRef(key=stage.key, object=commit_name(stage.key, "a"), sha256=sha256_hex(manifest.to_json()))


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: "-".join(str(value) for value in ask.values())[:30])
def test_what_a_worker_asked_is_found_by_the_next_plan(critic: Stack, tmp_path: Path, ask: dict[str, Any]) -> None:
    stack, log = critic, start_simulator(critic, latency_ms=0)
    # A model of its own for each, so that the ledger has nothing of an earlier one's.
    model = {"provider": "simulated", "error_rate": 0.1 + ASKS.index(ask) / 1000, "ask": ask}
    resolved = resolve(parse_spec(spec_with(models__critic=model)), stack.store, Settings())
    made = plan(resolved)
    label = next(one for one in made.stages.values() if one.kind == "label" and "rlaif-weak" in one.arms)
    prompts = [one for one in prompt_splits(resolved.parsed, {}, stack.store).prompts if one.split == "train"][-90:]
    rows = [
        {"prompt_id": one.prompt_id, "sample_index": index, "prompt": one.prompt, "completion": text}
        for place, one in enumerate(prompts)
        for index, text in enumerate(("a b", "a b" if place < 9 else "b a"))
    ]
    inputs = {"samples": commit(stack, made.stages[label.inputs["samples"]], rows)}
    if "reference" in ask:
        told = [
            {"prompt_id": one.prompt_id, "sample_index": 0, "prompt": one.prompt, "completion": "b"} for one in prompts
        ]
        inputs["reference_answers"] = commit(stack, made.stages[label.inputs["reference_answers"]], told)
    # Another stage than the plan's, which asks the same.
    run(stack, unit("label", label.params, inputs, options=label.options))
    shown = estimate(resolved, stack.store, Settings(data_dir=tmp_path))
    row = next(one for one in shown["stages"] if one["key"] == label.key)
    assert row["requests"] == row["in_ledger"] == len(traffic(log)) == 81 * (1 if ask.get("order") == "random" else 2)
    assert row["cost_usd"] == 0 and row["tokens"] == {"input": 0, "output": 0} and not row["in_ledger_unknown"]
