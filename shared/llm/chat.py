"""The chat seam: what is asked of an endpoint, what it answers, and the errors that may come instead.

ChatError                an endpoint gave no answer; `.field` is the part of the model's spec to look at
├── Refused              it will not answer this request ever (400, 401, 403, 404)
├── Unanswered           it did not answer now (429, 5xx, timeout, broken connection): ask again later
└── Closed               it was not asked: it is known to be down, or asked for a long pause
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from shared.canonical import content_key
from shared.errors import TouchstoneError
from shared.llm.rates import Rates

RARE = ("cached_input_tokens", "reasoning_tokens", "top_logprobs", "cache_write_tokens")
"""Fields of an answer that few endpoints give."""

UNBILLED = (409, 425, 429, 500, 503, 529)
"""Statuses with which an endpoint says that it did no work. Behind a gateway's 502 or 504 it may have done some."""

ERROR = re.compile(r"[45]\d\d")
STATUSES = {
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
    "timeout_error": 504,
}
"""What OpenAI and Anthropic call the errors that have these statuses."""


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request. None leaves a setting to the endpoint; `sample_index` tells apart equal requests whose answers may
    differ (the second sample for a prompt), `retry` the times that it is asked again (outcomes.py); neither is sent.
    `top_logprobs`: for how many of the likeliest first tokens the log-probability is wanted."""

    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    sample_index: int = 0
    top_logprobs: int | None = None
    retry: int = 0

    def to_json(self) -> dict[str, Any]:
        """The request as JSON, without what is not set."""
        # Not `asdict`, which copies deeply: every request of a shard is made into its key before anything is looked up.
        values = {
            "messages": [dict(message) for message in self.messages],
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "stop": list(self.stop) or None,
            "sample_index": self.sample_index,
            "top_logprobs": self.top_logprobs,
            "retry": self.retry or None,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ChatRequest:
        return cls(**data | {"messages": tuple(data["messages"]), "stop": tuple(data.get("stop", ()))})


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered. Token counts are None where it did not say; `model` is what it calls itself.

    `cached_input_tokens` (read from a cache) and `cache_write_tokens` are part of `input_tokens`, `reasoning_tokens` of
    `output_tokens`, whoever the vendor is.
    `top_logprobs` are the log-probabilities (nats) of the likeliest first tokens, where they were asked for.
    `finish_reason` is in OpenAI's words whoever answered, and `refusal` where the model itself refused.
    """

    text: str
    finish_reason: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str = ""
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    top_logprobs: Mapping[str, float] | None = None
    cache_write_tokens: int | None = None

    @property
    def says_usage(self) -> bool:
        """Whether the endpoint said what it used."""
        return self.input_tokens is not None and self.output_tokens is not None

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON; what the last four do not say is left out."""
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "model": self.model,
        } | {name: value for name in RARE if (value := getattr(self, name)) is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        return cls(**data)


class ChatModel(Protocol):
    """An endpoint that answers chat requests. Used on one event loop alone."""

    async def complete(self, request: ChatRequest) -> Answer:
        """Ask once, without retries. Raises `Refused` or `Unanswered`."""

    async def aclose(self) -> None:
        """Close its connections."""


@runtime_checkable
class TellsRates(Protocol):
    """A chat model that hands on what its endpoint's headers say of rate limits."""

    on_rates: Callable[[Rates], None] | None


class ChatError(TouchstoneError):
    """An endpoint gave no answer. `field` names the part of the model's spec to look at (`api_key`, `base_url`)."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class Refused(ChatError):
    """The endpoint will not answer this request, however often it is asked; in its own words."""


class Unanswered(ChatError):
    """The endpoint did not answer now. `reached`: it said so itself (429, 5xx); `throttled`: because it is asked too
    much (429); `unbilled`: it surely costs nothing; `retry_after`: in how many seconds to ask again."""

    def __init__(
        self,
        field: str,
        message: str,
        retry_after: float | None = None,
        reached: bool = False,
        throttled: bool = False,
        unbilled: bool = False,
    ) -> None:
        super().__init__(field, message)
        self.retry_after = retry_after
        self.reached = reached
        self.throttled = throttled
        self.unbilled = unbilled


class Closed(ChatError):
    """Nothing is sent to the endpoint for now; the message says until when."""


def chat_error(status: int, message: str, retry_after: float | None = None) -> ChatError:
    """The error that an HTTP status means."""
    if status == 401:
        return Refused("api_key", message)
    if status == 403:
        return Refused("api_key", message)
    if status == 404:
        return Refused("model", message)
    if status in {408, 409, 425, 429} or status >= 500:
        throttled, unbilled = status == 429, status in UNBILLED
        return Unanswered("base_url", message, retry_after, reached=True, throttled=throttled, unbilled=unbilled)
    return Refused("", message)


def body_error(error: Any) -> ChatError:
    """The error that a body holds which came with status 200, as some gateways send: by the status that it names.

    One that names none is taken for a refusal, so that people see it.
    """
    given = error if isinstance(error, dict) else {}
    words = str(given.get("message") or error)[:500]
    named = (str(given.get(name)) for name in ("code", "status", "type"))
    statuses = (STATUSES.get(name) or (int(name) if ERROR.fullmatch(name) else None) for name in named)
    status = next((status for status in statuses if status), None)
    return Refused("", words) if status is None else chat_error(status, f"{status}: {words}")


def text_of(content: Any) -> str:
    """A message's text, which some servers send in parts.

    Raises:
        ValueError: it is neither text nor parts with some.
    """
    if isinstance(content, list):
        return "".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    if not isinstance(content, str):
        raise ValueError(f"a {type(content).__name__} instead of text")
    return content


def count_of(tokens: Any) -> int | None:
    """A number of tokens; None where the endpoint said none."""
    if isinstance(tokens, float) and tokens.is_integer():
        tokens = int(tokens)
    return tokens if isinstance(tokens, int) and tokens >= 0 else None


def user_request(identity: Mapping[str, Any], prompt: str, **defaults: Any) -> ChatRequest:
    """The request that asks a model of this identity to answer a prompt, with its own system prompt and sampling.

    `defaults` are sampling parameters where an endpoint's model leaves them open.
    """
    system: tuple[Message, ...] = ({"role": "system", "content": identity["system"]},) if "system" in identity else ()
    sampling = {**defaults, **identity["sampling"]} if "sampling" in identity else {}
    return ChatRequest((*system, {"role": "user", "content": prompt}), **sampling)


def endpoint_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's identity that says who answers, without what a request carries itself."""
    return {name: value for name, value in identity.items() if name not in {"sampling", "system", "reask"}}


def request_key(identity: Mapping[str, Any], request: ChatRequest) -> str:
    """The ledger's key of a request to the model of this identity: 64 hex digits. Equal requests have equal keys."""
    return content_key({"endpoint": endpoint_of(identity), "request": request.to_json()})
