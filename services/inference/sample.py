"""The `sample` stage: a policy's completions of the prompts of one split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.inference.asking import Connection, ask_all, seed_of
from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.splits import rows_of_split

CONCURRENCY = 256


@dataclass(frozen=True)
class Prompt:
    prompt_id: str
    text: str


def sample(ctx: StageContext) -> StageResult:
    """Sample `n` completions of each prompt; writes completions.parquet (COMPLETIONS), a prompt's samples together."""
    clock = ctx.clock()
    prompts = _prompts(ctx)
    answers = ask_all(ctx, prompts, lambda connection, prompt: _ask(ctx.unit.params, connection, prompt), CONCURRENCY)
    rows = [row for prompt_rows in answers for row in prompt_rows]
    metrics = {
        "prompts": len(prompts),
        "completions": len(rows),
        "output_tokens": sum(row["output_tokens"] for row in rows),
        "truncated": sum(row["finish_reason"] == "length" for row in rows),
        "empty": sum(not row["completion"].strip() for row in rows),
    }
    table = records.from_rows(rows, records.COMPLETIONS)
    return StageResult({"completions.parquet": table}, metrics, Cost(device_seconds=clock()))


def _prompts(ctx: StageContext) -> list[Prompt]:
    """The prompts of the stage's range of its split, by rank."""
    params = ctx.unit.params
    rows = rows_of_split(ctx.input("prompts").rows().to_pylist(), params["split"], params["start"], params["stop"])
    return [Prompt(row["prompt_id"], row["prompt"]) for row in rows]


async def _ask(params: dict[str, Any], connection: Connection, prompt: Prompt) -> list[dict[str, Any]]:
    """One request for all of a prompt's samples."""
    count = int(params["n"])
    answer = await connection.openai.chat.completions.create(
        model=connection.engine.model,
        messages=[{"role": "user", "content": prompt.text}],
        n=count,
        temperature=params["temperature"],
        top_p=params["top_p"],
        max_tokens=params["max_tokens"],
        seed=seed_of(params["seed"], prompt.prompt_id),
        stop=params["stop_sequences"] or None,
    )
    usage = answer.usage
    return [
        {
            "prompt_id": prompt.prompt_id,
            "sample_index": choice.index,
            "prompt": prompt.text,
            "completion": choice.message.content or "",
            "finish_reason": choice.finish_reason,
            "input_tokens": usage.prompt_tokens if usage else None,
            "output_tokens": round(usage.completion_tokens / count) if usage else 0,
        }
        for choice in sorted(answer.choices, key=lambda choice: choice.index)
    ]
