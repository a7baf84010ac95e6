"""How an engine is spoken to: openai's client, or huggingface_hub's for TGI, both unmodified and over real HTTP."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import openai
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from services.inference.engines.base import Engine, EngineLost
from shared.errors import PermanentError

CONNECT_TIMEOUT = 10.0
EXTERNAL_TIMEOUT = 600.0
NO_KEY = "none"


@dataclass(frozen=True, slots=True)
class Request:
    """Completions of one prompt: `n` samples by `seed`. `before` is the conversation so far: user and assistant."""

    prompt: str
    n: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    stop: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation, as chat completions take it."""
        turns = [
            {"role": role, "content": text}
            for turn in self.before
            for role, text in zip(("user", "assistant"), turn, strict=True)
        ]
        return [*turns, {"role": "user", "content": self.prompt}]


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion. An end token counts among the output tokens."""

    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int


class TooLong(PermanentError):
    """A prompt and what it asks for do not fit into the model's context."""


TOO_LONG = re.compile(
    r"model's context is|maximum context length|`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less"
)
"""By which the embedded engine, vLLM and TGI say it."""


class Client(Protocol):
    """Asks an engine for samples. Used on one event loop alone."""

    async def sample(self, request: Request) -> list[Sample]:
        """`n` samples, in order.

        Raises:
            PermanentError: the engine refuses the request, in its own words.
            TooLong: it does for its length.
            EngineLost: it did not answer.
        """

    async def aclose(self) -> None:
        """Close its connections."""


def make_client(engine: Engine, concurrency: int) -> Client:
    """The client that an engine is spoken to with."""
    return TGIClient(engine) if engine.client == "tgi" else OpenAIClient(engine, concurrency)


def openai_client(engine: Engine, concurrency: int) -> openai.AsyncOpenAI:
    """openai's client on an engine. Its own retries are off: a lost engine is started again instead."""
    limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    # How long a managed engine takes is its own affair; when it ends, its connections close.
    seconds = None if engine.managed else EXTERNAL_TIMEOUT
    timeout = httpx2.Timeout(seconds, connect=CONNECT_TIMEOUT)
    transport = httpx2.AsyncClient(limits=limits, timeout=timeout, trust_env=not engine.managed)
    return openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key=NO_KEY, max_retries=0, http_client=transport)


class OpenAIClient:
    """Chat completions by the openai client."""

    def __init__(self, engine: Engine, concurrency: int) -> None:
        self._engine = engine
        self._client = openai_client(engine, concurrency)

    async def sample(self, request: Request) -> list[Sample]:
        # usage counts all of an answer's samples together; only our own engine tells their tokens apart.
        if request.n == 1 or self._engine.together:
            return await self._ask(request, request.seed, request.n)
        return [(await self._ask(request, sample_seed(request.seed, index), 1))[0] for index in range(request.n)]

    async def aclose(self) -> None:
        await self._client.close()

    async def _ask(self, request: Request, seed: int, n: int) -> list[Sample]:
        body = {
            "model": self._engine.model,
            "messages": request.messages,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": seed,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if n > 1:
            body |= {"n": n, "return_token_ids": True}
        answer = await post(self._client, "/chat/completions", body)
        usage = answer["usage"]
        return [
            Sample(
                choice["message"]["content"] or "",
                choice["finish_reason"],
                usage["prompt_tokens"],
                usage["completion_tokens"] if n == 1 else len(choice["token_ids"]),
            )
            for choice in answer["choices"]
        ]


async def post(client: openai.AsyncOpenAI, path: str, body: dict[str, Any]) -> Any:
    """POST by openai's client and read the JSON answer.

    Raises:
        PermanentError: the engine refuses the request.
        EngineLost: it did not answer.
    """
    try:
        # The client's own post: its typed methods spend a third more time on what is typed here already.
        response = await client.post(path, body=body, cast_to=httpx2.Response)
        return response.json()
    except openai.APIStatusError as error:
        said = error.body.get("message") if isinstance(error.body, dict) else None
        raise refusal(error.status_code, str(said or error.message)) from error
    except openai.APIConnectionError as error:
        raise EngineLost(str(error.__cause__ or error)) from error


class TGIClient:
    """Chat completions by huggingface_hub's client. TGI answers one sample a request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        seconds = None if engine.managed else EXTERNAL_TIMEOUT
        # Without a key of ours the client would send the hub's login of whoever runs this process.
        self._client = AsyncInferenceClient(base_url=f"{engine.url}/v1", api_key=NO_KEY, timeout=seconds)

    async def sample(self, request: Request) -> list[Sample]:
        return [await self._ask(request, index) for index in range(request.n)]

    async def aclose(self) -> None:
        await self._client.close()

    async def _ask(self, request: Request, index: int) -> Sample:
        # TGI takes no top_p of 1. A temperature of 0 must be said: one that is left out means 1.
        nucleus = {"top_p": request.top_p} if request.top_p < 1 else {}
        try:
            answer = await self._client.chat_completion(
                request.messages,
                model=self._engine.model,
                max_tokens=request.max_tokens,
                seed=sample_seed(request.seed, index),
                stop=list(request.stop) or None,
                temperature=request.temperature,
                **nucleus,
            )
        except HfHubHTTPError as error:
            raise refusal(error.response.status_code, error.response.text[:1000]) from error
        except (InferenceTimeoutError, httpx2.TransportError) as error:
            raise EngineLost(str(error) or type(error).__name__) from error
        choice = answer.choices[0]
        text = choice.message.content or ""
        if choice.finish_reason == STOPPED:
            text = without_stop(text, request.stop)
        return Sample(
            text,
            FINISHES.get(choice.finish_reason, choice.finish_reason),
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
        )


STOPPED = "stop_sequence"
FINISHES = {"eos_token": "stop", STOPPED: "stop"}
"""TGI's own words for why a completion ended."""


def without_stop(text: str, stops: Sequence[str]) -> str:
    """A text without the stop sequence that ended it: TGI leaves it there, OpenAI's protocol does not."""
    return next((text.removesuffix(stop) for stop in stops if stop and text.endswith(stop)), text)


def prompt_seed(seed: int, prompt_id: str) -> int:
    """A prompt's seed, 31 bits: the same in every shard and every run."""
    return _hash(f"{seed}/{prompt_id}")


def sample_seed(seed: int, index: int) -> int:
    """The seed of one sample, where each is a request of its own."""
    return seed if index == 0 else _hash(f"{seed}/sample/{index}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def refusal(status: int, message: str) -> PermanentError | EngineLost:
    """What an engine's answer that is none means. 424 is TGI's word for a model that died behind its router."""
    if status in {424, 429} or status >= 500:
        return EngineLost(f"{status}: {message}")
    kind = TooLong if TOO_LONG.search(message) else PermanentError
    return kind(f"the engine refuses a request ({status}): {message}")
