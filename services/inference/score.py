"""The `score` stage: log-likelihoods of given completions under a checkpoint.

A completion is scored as training sees it: the chat template's tokens of the user's turn with the generation prompt are
the context, what the template adds for the assistant's turn (the end token included) is scored. Both are tokenised
together and cut where the context ends, so that the boundary is the trainer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.inference.asking import Connection, ask_all
from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext

CONCURRENCY = 16


@dataclass(frozen=True)
class Given:
    """One completion to score; `row` is its row in the input's table."""

    prompt_id: str
    row: int
    which: str
    prompt: str
    completion: str


def score(ctx: StageContext) -> StageResult:
    """Score the input's completions; writes likelihoods.parquet (LIKELIHOODS), logprob in nats."""
    clock = ctx.clock()
    given = _given(ctx)
    limit = ctx.unit.params.get("max_length")
    rows = ask_all(ctx, given, lambda connection, item: _ask(limit, connection, item), CONCURRENCY)
    metrics = {"completions": len(rows), "truncated": sum(row.pop("truncated") for row in rows)}
    table = records.from_rows(rows, records.LIKELIHOODS)
    return StageResult({"likelihoods.parquet": table}, metrics, Cost(device_seconds=clock()))


def _given(ctx: StageContext) -> list[Given]:
    if ctx.has_input("demonstrations"):
        rows = ctx.input("demonstrations").rows().to_pylist()
        return [
            Given(row["prompt_id"], index, "completion", row["prompt"], row["completion"])
            for index, row in enumerate(rows)
        ]
    return [
        Given(row["prompt_id"], index, which, row["prompt"], row[f"completion_{which}"])
        for index, row in enumerate(ctx.input("preferences").rows().to_pylist())
        for which in ("a", "b")
    ]


async def _ask(limit: int | None, connection: Connection, item: Given) -> dict[str, Any]:
    user = {"role": "user", "content": item.prompt}
    context = await _tokens(connection, [user], True)
    whole = await _tokens(connection, [user, {"role": "assistant", "content": item.completion}], False)
    if whole[: len(context)] != context:
        # A template that writes the assistant's turn differently: score what follows the longest common beginning.
        context = context[: next(i for i, pair in enumerate(zip(context, whole, strict=False)) if pair[0] != pair[1])]
    kept = whole[:limit] if limit else whole
    answer = await connection.openai.completions.create(
        model=connection.engine.model, prompt=kept, max_tokens=0, echo=True, logprobs=0, temperature=0.0
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.token_logprobs is not None
    scored = [value for value in logprobs.token_logprobs[len(context) :] if value is not None]
    return {
        "prompt_id": item.prompt_id,
        "row": item.row,
        "which": item.which,
        "logprob": float(sum(scored)),
        "tokens": len(scored),
        "truncated": len(kept) < len(whole),
    }


async def _tokens(connection: Connection, messages: list[dict[str, str]], add_generation_prompt: bool) -> list[int]:
    """A conversation's tokens by the engine's own tokenizer (vLLM's /tokenize, which the embedded engine has too)."""
    body = {
        "model": connection.engine.model,
        "messages": messages,
        "add_generation_prompt": add_generation_prompt,
        "add_special_tokens": False,
    }
    answer = await connection.http.post("/tokenize", json=body)
    answer.raise_for_status()
    tokens: list[int] = answer.json()["tokens"]
    return tokens
