"""The stage `sample`: completions of prompts by a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.inference.clients import Client, Request, Sample, TooLong, make_client, prompt_seed
from services.inference.drive import ask_all
from services.inference.keeper import Keeper
from services.inference.stage import own_rows, serving_of
from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.errors import PermanentError
from shared.splits import rows_between


def sample(ctx: StageContext, keeper: Keeper) -> StageResult:
    """Sample `n` completions for each prompt of a split.

    Params: split, start, stop (fractions of the split by rank), n, temperature (0 is greedy), top_p, max_tokens,
    stop_sequences, seed; see `serving_of` for engine and model. Inputs: prompts, checkpoint. Writes
    completions.parquet, by rank and sample. A prompt's random numbers depend on (seed, prompt_id) alone, so a shard or
    another run gives the same texts.

    A prompt that with `max_tokens` does not fit into the model's context has no row; the metric `too_long` and the
    stage's log say how many there are.

    With param turn: 2 and the input `first` (COMPLETIONS, one a prompt) it samples the prompts' second turns, each with
    its first turn and the first completion before it.
    """
    prompts = own_rows(ctx, _prompts(ctx))
    if ctx.has_input("first"):
        prompts = second_turns(prompts, ctx.input("first").rows().to_pylist())
    requests = [_request(ctx.unit.params, row) for row in prompts]
    answers, seconds = ask_all(
        ctx,
        keeper,
        serving_of(ctx),
        requests,
        lambda engine: make_client(engine, ctx.settings.request_concurrency),
        _ask,
    )
    sampled = [(prompt, found) for prompt, found in zip(prompts, answers, strict=True) if isinstance(found, list)]
    too_long = [found for found in answers if isinstance(found, TooLong)]
    if too_long:
        ctx.log(f"{len(too_long)} of {len(prompts)} prompts are too long for the model's context: {too_long[0]}")
        if not sampled:
            raise too_long[0]
    rows = [_row(prompt, index, answer) for prompt, samples in sampled for index, answer in enumerate(samples)]
    metrics = {
        "prompts": len(sampled),
        "too_long": len(too_long),
        "split": ctx.unit.params["split"],
        "completions": len(rows),
        "input_tokens": sum(row["input_tokens"] for row in rows),
        "output_tokens": sum(row["output_tokens"] for row in rows),
        "truncated": sum(row["finish_reason"] == "length" for row in rows),
        "empty": sum(not row["completion"].strip() for row in rows),
        "seconds": seconds,
    }
    table = records.from_rows(rows, records.COMPLETIONS)
    return StageResult({"completions.parquet": table}, metrics, Cost(device_seconds=seconds))


async def _ask(client: Client, request: Request) -> list[Sample] | TooLong:
    """A request's samples, or why this one prompt has none."""
    try:
        return await client.sample(request)
    except TooLong as refused:
        return refused


def _prompts(ctx: StageContext) -> list[dict[str, Any]]:
    """The stage's prompts in rank order."""
    params = ctx.unit.params
    table = ctx.input("prompts").rows()
    split = sorted((row for row in table.to_pylist() if row["split"] == params["split"]), key=lambda row: row["rank"])
    start, stop = rows_between(len(split), params.get("start", 0.0), params.get("stop", 1.0))
    return split[start:stop]


def second_turns(prompts: Sequence[Mapping[str, Any]], first: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose prompt is the second turn, with what was said `before`; prompts without a first completion have none.

    Raises:
        PermanentError: a prompt has no second turn.
    """
    said = {row["prompt_id"]: row["completion"] for row in first}
    found = []
    for row in prompts:
        turns: Sequence[str] = row.get("turns") or ()
        if len(turns) < 2:
            raise PermanentError(f"prompt {row['prompt_id']} has no second turn: its dataset needs a column `turns`")
        if row["prompt_id"] in said:
            found.append({**row, "prompt": turns[1], "before": ((turns[0], said[row["prompt_id"]]),)})
    return found


def _request(params: dict[str, Any], row: dict[str, Any]) -> Request:
    turn = {} if "turn" not in params else {"before": row["before"]}
    # Another turn draws other numbers.
    name = row["prompt_id"] if "turn" not in params else f"{row['prompt_id']}/turn {params['turn']}"
    return Request(
        prompt=row["prompt"],
        n=params.get("n", 1),
        temperature=params.get("temperature", 1.0),
        top_p=params.get("top_p", 1.0),
        max_tokens=params["max_tokens"],
        seed=prompt_seed(params["seed"], name),
        stop=tuple(params.get("stop_sequences") or ()),
        **turn,
    )


def _row(prompt: dict[str, Any], index: int, answer: Sample) -> dict[str, Any]:
    return {
        "prompt_id": prompt["prompt_id"],
        "sample_index": index,
        "prompt": prompt["prompt"],
        "completion": answer.text,
        "finish_reason": answer.finish_reason,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
    }
