"""How OpenAI and Anthropic put errors, limits and usage into words. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from services.simulator.completions import Refusal
from services.simulator.standin.limits import Admission, State

Headers = list[tuple[bytes, bytes]]
REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Failure(Refusal):
    """An error with headers of its own, such as `retry-after`."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        retry_after: float | None = None,
        kind: str = "server_error",
    ) -> None:
        super().__init__(status, message, code=code)
        self.body["error"]["type"] = kind
        self.headers = wait_headers(retry_after)


class Shape(Protocol):
    """One vendor's words."""

    overloaded: Literal[503, 529]

    def request(self, body: Any) -> Any:
        """A request in OpenAI's shape."""

    def response(self, body: dict[str, Any]) -> dict[str, Any]:
        """A response from OpenAI's shape."""

    def error(self, refusal: Refusal) -> dict[str, Any]: ...

    def limits(self, states: dict[Any, State]) -> Headers: ...


class OpenAIShape:
    overloaded: Literal[503, 529] = 503

    def request(self, body: Any) -> Any:
        return body

    def response(self, body: dict[str, Any]) -> dict[str, Any]:
        return body

    def error(self, refusal: Refusal) -> dict[str, Any]:
        return refusal.body

    def limits(self, states: dict[Any, State]) -> Headers:
        headers: dict[str, str] = {}
        for kind, state in states.items():
            headers[f"x-ratelimit-limit-{kind}"] = str(state.limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(state.remaining)
            headers[f"x-ratelimit-reset-{kind}"] = duration(state.reset)
        return encoded(headers)


class AnthropicShape:
    """`POST /v1/messages`: text alone."""

    overloaded: Literal[503, 529] = 529

    def request(self, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        if not isinstance(body.get("max_tokens"), int):
            raise Refusal(400, "max_tokens: Field required")
        system = body.get("system")
        first = [] if system is None else [{"role": "system", "content": system}]
        messages = body.get("messages")
        kept = {name: body[name] for name in ("model", "max_tokens", "temperature", "top_p") if name in body}
        stops = {"stop": body["stop_sequences"]} if body.get("stop_sequences") else {}
        return kept | stops | {"messages": [*first, *messages] if isinstance(messages, list) else messages}

    def response(self, body: dict[str, Any]) -> dict[str, Any]:
        choice, usage = body["choices"][0], body.get("usage")
        message = choice["message"]
        refused = message["refusal"] is not None
        text = message["refusal"] or message["content"]
        made = {
            "id": body["id"].replace("chatcmpl-", "msg_"),
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": text}] if text else [],
            "stop_reason": "refusal" if refused else REASONS[choice["finish_reason"]],
            "stop_sequence": None,
        }
        if usage is None:
            return made
        cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        return made | {
            "usage": {
                "input_tokens": usage["prompt_tokens"] - cached,
                "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": 0,
                "output_tokens": usage["completion_tokens"],
            }
        }

    def error(self, refusal: Refusal) -> dict[str, Any]:
        kind = KINDS.get(refusal.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": str(refusal)}}

    def limits(self, states: dict[Any, State]) -> Headers:
        headers: dict[str, str] = {}
        for kind, state in states.items():
            whole = datetime.now(UTC) + timedelta(seconds=state.reset)
            headers[f"anthropic-ratelimit-{kind}-limit"] = str(state.limit)
            headers[f"anthropic-ratelimit-{kind}-remaining"] = str(state.remaining)
            headers[f"anthropic-ratelimit-{kind}-reset"] = whole.strftime("%Y-%m-%dT%H:%M:%SZ")
        return encoded(headers)


def limit_failure(admission: Admission, model: str, amount: int) -> Failure:
    """OpenAI's 429 of a limit that is reached."""
    kind = admission.refused or "requests"
    short = "RPM" if kind == "requests" else "TPM"
    state = admission.states[kind]
    words = (
        f"Rate limit reached for {model} in organization org-touchstone on {kind} per min ({short}): "
        f"Limit {state.limit}, Used {state.limit - state.remaining}, Requested {amount}. "
        f"Please try again in {duration(admission.wait)}."
    )
    return Failure(429, words, "rate_limit_exceeded", admission.wait, kind)


def duration(seconds: float) -> str:
    """Seconds in OpenAI's words: `120ms`, `6.5s`, `1m30s`. Never less than they are, by a millisecond."""
    thousandths = math.ceil(seconds * 1000)
    if thousandths < 1000:
        return f"{thousandths}ms"
    minutes, rest = divmod(thousandths / 1000, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:.3f}".rstrip("0").rstrip(".") + "s"


def wait_headers(seconds: float | None) -> Headers:
    """How long to wait, in whole seconds and in milliseconds; rounded up."""
    if seconds is None:
        return []
    thousandths = math.ceil(seconds * 1000)
    return encoded({"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(thousandths)})


def encoded(headers: dict[str, str]) -> Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
