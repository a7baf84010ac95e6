"""The chat seam: what is asked of an endpoint, what it answers, and the errors that may come instead.

ChatError                an endpoint gave no answer; `.field` is the part of the model's spec to look at
├── Refused              it will not answer this request ever (400, 401, 403, 404)
└── Unanswered           it did not answer now (429, 5xx, timeout, broken connection): ask again later
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypedDict

from shared.canonical import content_key
from shared.errors import TouchstoneError


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request. None leaves a setting to the endpoint; `sample_index` tells apart equal requests whose answers may
    differ (the second sample for a prompt), and is never sent."""

    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    sample_index: int = 0

    def to_json(self) -> dict[str, Any]:
        """The request as JSON, without what is not set."""
        values = asdict(self) | {"messages": list(self.messages), "stop": list(self.stop)}
        return {name: value for name, value in values.items() if value not in (None, [])}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ChatRequest:
        return cls(**data | {"messages": tuple(data["messages"]), "stop": tuple(data.get("stop", ()))})


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered. Token counts are None where it did not say; `model` is what it calls itself."""

    text: str
    finish_reason: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "model": self.model,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        return cls(**data)


class ChatModel(Protocol):
    """An endpoint that answers chat requests. Used on one event loop alone."""

    async def complete(self, request: ChatRequest) -> Answer:
        """Ask once, without retries. Raises `Refused` or `Unanswered`."""

    async def aclose(self) -> None:
        """Close its connections."""


class ChatError(TouchstoneError):
    """An endpoint gave no answer. `field` names the part of the model's spec to look at (`api_key`, `base_url`)."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class Refused(ChatError):
    """The endpoint will not answer this request, however often it is asked; in its own words."""


class Unanswered(ChatError):
    """The endpoint did not answer now. `reached`: it said so itself (429, 5xx); `retry_after`: in how many seconds."""

    def __init__(self, field: str, message: str, retry_after: float | None = None, reached: bool = False) -> None:
        super().__init__(field, message)
        self.retry_after = retry_after
        self.reached = reached


def chat_error(status: int, message: str, retry_after: float | None = None) -> ChatError:
    """The error that an HTTP status means."""
    if status == 401:
        return Refused("api_key", message)
    if status == 403:
        return Refused("api_key", message)
    if status == 404:
        return Refused("model", message)
    if status in {408, 409, 425, 429} or status >= 500:
        return Unanswered("base_url", message, retry_after, reached=True)
    return Refused("", message)


def user_request(identity: Mapping[str, Any], prompt: str, **defaults: Any) -> ChatRequest:
    """The request that asks a model of this identity to answer a prompt, with its own system prompt and sampling.

    `defaults` are sampling parameters where an endpoint's model leaves them open.
    """
    system: tuple[Message, ...] = ({"role": "system", "content": identity["system"]},) if "system" in identity else ()
    sampling = {**defaults, **identity["sampling"]} if "sampling" in identity else {}
    return ChatRequest((*system, {"role": "user", "content": prompt}), **sampling)


def endpoint_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's identity that says who answers, without what a request carries itself."""
    return {name: value for name, value in identity.items() if name not in {"sampling", "system"}}


def request_key(identity: Mapping[str, Any], request: ChatRequest) -> str:
    """The ledger's key of a request to the model of this identity: 64 hex digits. Equal requests have equal keys."""
    return content_key({"endpoint": endpoint_of(identity), "request": request.to_json()})
