"""A worker of one queue whose stages leave the rows of a whole experiment, without a model: the world is simulated.

`python -m tests.stubs.world QUEUE [CONCURRENCY]`. Teachers, critics and judges answer as their settings say; a training
is a number, the share of right answers, which DPO raises a little. STUB_SECONDS is what each stage takes at least. The
report is the real analyst's (`python -m services.analyst`), and says what it would of rows that cost hours.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from services.critic.tables import input_tables
from services.teacher.prompts import prompts
from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.kinds import KINDS
from shared.queues import celery_app, run_worker
from shared.runner import register
from shared.splits import rows_between
from shared.world.critic import prefer
from shared.world.models import CriticSettings, TeacherSettings
from shared.world.names import parse
from shared.world.teacher import teach

SECONDS = float(os.environ.get("STUB_SECONDS", "0.2"))
STEPS = 40
TOKENS = {"input_tokens": 60, "output_tokens": 12}
WORDS = {"a": "The first answer is closer to what was asked: A", "b": "B keeps to the task: B", "tie": "Tie"}
Row = dict[str, Any]


def rows_of(ctx: StageContext) -> list[Row]:
    """The prompts that a stage of completions is about, in their order, cut to its shard."""
    params = ctx.unit.params
    rows = [row for row in ctx.input("prompts").rows().to_pylist() if row["split"] == params["split"]]
    rows.sort(key=lambda row: row["rank"])
    start, stop = rows_between(len(rows), params["start"], params["stop"])
    rows = rows[start:stop]
    return rows if ctx.unit.shard is None else rows[ctx.unit.shard.start : ctx.unit.shard.stop]


def answers(rows: list[Row], settings: TeacherSettings, samples: int, seed: int) -> pa.Table:
    """COMPLETIONS of a teacher of these settings."""
    told = {"finish_reason": "stop", **TOKENS}
    return records.from_rows(
        [
            {"prompt_id": row["prompt_id"], "prompt": row["prompt"], "sample_index": index, **told}
            | {"completion": teach(settings, row["prompt"], (seed, index))}
            for row in rows
            for index in range(samples)
        ],
        records.COMPLETIONS,
    )


def demonstrate(ctx: StageContext) -> StageResult:
    model = ctx.unit.params["model"]
    if "text" in model:
        rows = [{**row, "sample_index": 0, "completion": model["text"]} for row in rows_of(ctx)]
        nulls = [{name: row[name] for name in ("prompt_id", "prompt", "sample_index", "completion")} for row in rows]
        return StageResult({"demonstrations.parquet": records.from_rows(nulls, records.COMPLETIONS)})
    settings = parse(model["model"])
    assert isinstance(settings, TeacherSettings)
    table = answers(rows_of(ctx), settings, 1, 0)
    return StageResult({"demonstrations.parquet": table}, {"right": settings.accuracy}, paid(ctx, table.num_rows))


def sample(ctx: StageContext) -> StageResult:
    """As a teacher of the checkpoint's share of right answers would: colder is a little better."""
    params = ctx.unit.params
    share = json.loads(ctx.input("checkpoint").path("share.json").read_text())
    settings = TeacherSettings(accuracy=min(1.0, share + 0.1 * (1 - params["temperature"])), seed=params["seed"] + 7)
    rows = rows_of(ctx)
    return StageResult(
        {"completions.parquet": answers(rows, settings, params["n"], params["seed"])}, {"prompts": len(rows)}
    )


def train(ctx: StageContext) -> StageResult:
    """A loss that falls, and the share of right answers that it came to."""
    if ctx.unit.kind == "rl":
        share = json.loads(ctx.input("start").path("share.json").read_text()) + 0.12
    else:
        metrics = ctx.input("demonstrations").manifest.metrics if ctx.has_input("demonstrations") else {}
        share = 0.2 + 0.7 * float(metrics.get("right", 0.3))
    curve = {"step": list(range(1, STEPS + 1)), "loss": [loss(step, share) for step in range(1, STEPS + 1)]}
    table = pa.table({"step": pa.array(curve["step"], pa.int32()), "loss": pa.array(curve["loss"], pa.float64())})
    files: dict[str, Any] = {"share.json": json.dumps(min(share, 0.97)).encode(), "loss.parquet": table}
    return StageResult(files, {"steps": STEPS}, Cost(device_seconds=60 * SECONDS))


def loss(step: int, share: float) -> float:
    """What a training says at a step."""
    return 2.2 - 1.5 * share + 1.4 * math.exp(-step / 9) + 0.05 * math.sin(5 * step)


def label(ctx: StageContext) -> StageResult:
    params, tables = ctx.unit.params, input_tables(ctx)
    by_prompt: dict[str, list[Row]] = {}
    for row in tables["samples"].to_pylist():
        by_prompt.setdefault(row["prompt_id"], []).append(row)
    pairs = [(found[0]["prompt"], found[0], found[1]) for found in by_prompt.values()]
    rows = []
    for prompt, first, second in pairs:
        told = verdicts(params["critic"], prompt, first["completion"], second["completion"])
        liked = told["preference"]
        rows.append({"prompt_id": first["prompt_id"], "prompt": prompt, **told}
                    | {"completion_a": first["completion"], "completion_b": second["completion"]}
                    | {"dropped": "tie" if liked == 0.5 else None})  # fmt: skip
    return StageResult({"preferences.parquet": records.from_rows(rows, records.PREFERENCES)}, {}, paid(ctx, len(rows)))


def judge(ctx: StageContext) -> StageResult:
    params, tables = ctx.unit.params, input_tables(ctx)
    reference = {row["prompt_id"]: row["completion"] for row in tables["reference"].to_pylist()}
    rows = []
    for row in tables["samples"].to_pylist():
        told = verdicts(params["judge"], row["prompt"], row["completion"], reference[row["prompt_id"]])
        rows.append({**told, "prompt_id": row["prompt_id"], "score": 100 * told["preference"], "valid": True}
                    | {"completion": row["completion"], "reference": reference[row["prompt_id"]]})  # fmt: skip
    return StageResult({"judgements.parquet": records.from_rows(rows, records.JUDGEMENTS)}, {}, paid(ctx, len(rows)))


def verdicts(model: Mapping[str, Any], prompt: str, a: str, b: str) -> Row:
    """What a critic says in both orders, and its words."""
    settings = parse(model["model"])
    assert isinstance(settings, CriticSettings)
    ab, turned = prefer(settings, prompt, a, b), prefer(settings, prompt, b, a)
    ba = {"a": "b", "b": "a", "tie": "tie"}[turned]
    share = sum({"a": 1.0, "b": 0.0, "tie": 0.5}[verdict] for verdict in (ab, ba)) / 2
    return {"preference": share, "verdict_ab": ab, "verdict_ba": ba, "raw_ab": WORDS[ab], "raw_ba": WORDS[turned]}


def paid(ctx: StageContext, rows: int) -> Cost:
    """What the rows cost at the spec's price, US dollars a million tokens."""
    price = ctx.unit.options.get("price") or {}
    tokens = TOKENS["input_tokens"] * price.get("input", 0.0) + TOKENS["output_tokens"] * price.get("output", 0.0)
    return Cost(usd=rows * tokens / 1e6)


HANDLERS: dict[str, Callable[[StageContext], StageResult]] = {
    "prompts": prompts,
    "teach": demonstrate,
    "sample": sample,
    "pretrain": train,
    "sft": train,
    "rl": train,
    "label": label,
    "judge": judge,
}


def work(ctx: StageContext) -> StageResult:
    """Take the time, saying how far it is, then leave the rows."""
    for step in range(STEPS):
        ctx.check()
        ctx.progress(step, STEPS)
        if KINDS[ctx.unit.kind].queue == "trainer":
            ctx.metrics({"step": step + 1, "loss": loss(step + 1, 0.5)})
        time.sleep(SECONDS / STEPS)
    ctx.log(f"a stub's {ctx.unit.kind}")
    return HANDLERS[ctx.unit.kind](ctx)


def main(queue: str, concurrency: int) -> None:
    """Serve one queue."""
    app = celery_app(f"stub-{queue}")
    for kind in KINDS.values():
        if kind.queue == queue:
            register(app, kind.name, work)
    run_worker(app, queue, concurrency)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
