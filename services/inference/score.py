"""The stage `score`: log-likelihoods of given completions under a checkpoint."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import openai

from services.inference.clients import openai_client, post
from services.inference.drive import ask_all
from services.inference.engines.base import Engine
from services.inference.keeper import Keeper
from services.inference.stage import own_rows, serving_of
from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.errors import BadInput, StageError

SCORED = {
    "demonstrations": {"completion": "completion"},
    "preferences": {"a": "completion_a", "b": "completion_b"},
}
"""The columns that are scored of each input, by the name they are scored under."""


@dataclass(frozen=True, slots=True)
class Item:
    """One completion to score: `row` is its row in the scored table."""

    row: int
    which: str
    prompt_id: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Score:
    """Nats summed over `tokens` tokens; `truncated` tells that the length left some out."""

    logprob: float
    tokens: int
    truncated: bool


def score(ctx: StageContext, keeper: Keeper) -> StageResult:
    """Score every completion of the input `demonstrations` or `preferences` (both completions of a pair).

    Params: max_length (tokens of prompt and completion together; null for no bound); see `serving_of` for engine and
    model. Writes likelihoods.parquet, in the input's order.

    The tokens are the trainer's (TRL 1.16 on conversational rows): the chat template renders the user's turn with the
    generation prompt, and both turns without it; the completion is what follows their common prefix. So what the
    template writes after the assistant's words is part of the completion: the end token, and a line break if there is
    one. Sequences longer than max_length lose their end, as in training; a completion of which nothing is left has 0
    tokens and log-probability 0.
    """
    serving = serving_of(ctx)
    if serving.engine == "tgi":
        raise BadInput(
            "policies.<name>.engine", "TGI cannot score completions", "Use the embedded engine, or vLLM (openai:URL)."
        )
    items = own_items(ctx)
    scores, seconds = ask_all(
        ctx,
        keeper,
        serving,
        items,
        lambda engine: Scorer(engine, ctx.settings.request_concurrency, ctx.unit.params.get("max_length")),
        lambda scorer, item: scorer.score(item),
    )
    rows = [
        {
            "prompt_id": item.prompt_id,
            "row": item.row,
            "which": item.which,
            "logprob": own.logprob,
            "tokens": own.tokens,
        }
        for item, own in zip(items, scores, strict=True)
    ]
    metrics = {
        "completions": len(rows),
        "tokens": sum(own.tokens for own in scores),
        "truncated": sum(own.truncated for own in scores),
        "seconds": seconds,
    }
    table = records.from_rows(rows, records.LIKELIHOODS)
    return StageResult({"likelihoods.parquet": table}, metrics, Cost(device_seconds=seconds))


def own_items(ctx: StageContext) -> list[Item]:
    """What this unit scores; a shard counts the input's rows.

    Raises:
        BadInput: the stage has neither input.
    """
    for name, columns in SCORED.items():
        if ctx.has_input(name):
            numbered = list(enumerate(ctx.input(name).rows().to_pylist()))
            return [
                Item(number, which, row["prompt_id"], row["prompt"], row[column])
                for number, row in own_rows(ctx, numbered)
                for which, column in columns.items()
            ]
    raise BadInput("inputs", f"one of {', '.join(SCORED)} is needed", "")


class Scorer:
    """Scores through /tokenize and /v1/completions (echo and logprobs), as vLLM has them."""

    def __init__(self, engine: Engine, concurrency: int, max_length: int | None) -> None:
        self._model = engine.model
        self._max_length = max_length
        self._client: openai.AsyncOpenAI = openai_client(engine, concurrency)

    async def score(self, item: Item) -> Score:
        """Raises what `clients.post` raises, and `StageError` where the answer makes no sense."""
        user = {"role": "user", "content": item.prompt}
        assistant = {"role": "assistant", "content": item.completion}
        prompt = await self._tokens([user], generate=True)
        whole = await self._tokens([user, assistant], generate=False)
        first = max(1, common_prefix(prompt, whole))
        kept = whole if self._max_length is None else whole[: self._max_length]
        if len(kept) <= first:
            return Score(0.0, 0, len(kept) < len(whole))
        body = {"model": self._model, "prompt": kept, "max_tokens": 0, "echo": True, "logprobs": 0}
        answer = await post(self._client, "/completions", body)
        values = answer["choices"][0]["logprobs"]["token_logprobs"]
        if len(values) != len(kept):
            raise StageError(f"the engine scored {len(values)} of {len(kept)} tokens")
        return Score(math.fsum(values[first:]), len(kept) - first, len(kept) < len(whole))

    async def aclose(self) -> None:
        await self._client.close()

    async def _tokens(self, messages: list[dict[str, str]], generate: bool) -> list[int]:
        body: dict[str, Any] = {"model": self._model, "messages": messages, "add_generation_prompt": generate}
        # An address from the server's root: /tokenize is not under /v1.
        answer = await post(self._client, str(self._client.base_url.join("/tokenize")), body)
        return list(answer["tokens"])


def common_prefix(one: list[int], other: list[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
