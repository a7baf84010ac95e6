"""Anthropic's client behind the chat seam: the Messages API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import httpx2

from shared.llm.chat import Answer, ChatRequest, Refused, Unanswered, body_error, chat_error, count_of, text_of
from shared.llm.openai_chat import CONNECT_TIMEOUT, LOOPBACK, NO_KEY
from shared.llm.rates import Rates, read_rates, retry_after

ANTHROPIC_HOST = "api.anthropic.com"
MAX_TOKENS = 1024
"""The API insists on a number."""
FINISHED = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
}
"""Stop reasons in OpenAI's words; others stay as they are."""
NEVER_SENT = ("seed", "top_logprobs")
"""What a request may hold and this API knows nothing of."""


class AnthropicChat:
    """One model. Retries are the caller's affair, so the client's are off."""

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float, connections: int) -> None:
        self.on_rates: Callable[[Rates], None] | None = None
        self._model = model
        self._url = base_url
        host = httpx2.URL(base_url).host
        self._client = anthropic.AsyncAnthropic(
            # Without a key of ours, the client would look for one of whoever runs this process.
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            open_telemetry=False,
            http_client=anthropic.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
                timeout=httpx2.Timeout(timeout, connect=CONNECT_TIMEOUT),
                trust_env=host not in LOOPBACK,
            ),
        )
        if host != ANTHROPIC_HOST:
            # ANTHROPIC_CUSTOM_HEADERS becomes headers: for Anthropic alone.
            self._client._custom_headers = {}

    async def complete(self, request: ChatRequest) -> Answer:
        if unknown := [name for name in NEVER_SENT if getattr(request, name) is not None]:
            raise Refused("provider", f"anthropic's API has no {unknown[0]}")
        try:
            response = await self._client.post("/v1/messages", body=self._body(request), cast_to=httpx2.Response)
            self._tell(response.headers)
            return read_answer(response.json())
        except anthropic.APIStatusError as error:
            self._tell(error.response.headers)
            raise chat_error(error.status_code, _words(error), retry_after(error.response.headers)) from error
        except anthropic.APIConnectionError as error:
            raise Unanswered("base_url", f"{self._url} cannot be reached: {error.__cause__ or error}") from error
        except ValueError as error:
            raise Unanswered("base_url", f"{self._url} sent no message: {error}") from error

    async def aclose(self) -> None:
        await self._client.close()

    def _tell(self, headers: httpx2.Headers) -> None:
        if self.on_rates is not None and (rates := read_rates(headers)):
            self.on_rates(rates)

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        given = {
            "system": "\n\n".join(turn["content"] for turn in request.messages if turn["role"] == "system") or None,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop_sequences": list(request.stop) or None,
        }
        return {
            "model": self._model,
            "messages": [turn for turn in request.messages if turn["role"] != "system"],
            "max_tokens": request.max_tokens or MAX_TOKENS,
        } | {name: value for name, value in given.items() if value is not None}


def read_answer(body: Any) -> Answer:
    """A message as an answer.

    There `input_tokens` leaves out what was read from and written to the cache, which here is part of it.

    Raises:
        ValueError: the body is no message.
        Refused, Unanswered: it is an error that came with status 200, as some gateways send.
    """
    if not isinstance(body, dict):
        raise ValueError(f"a {type(body).__name__} instead of an object")
    if body.get("error"):
        raise body_error(body["error"])
    try:
        usage = body.get("usage") or {}
        cached = count_of(usage.get("cache_read_input_tokens"))
        written = count_of(usage.get("cache_creation_input_tokens"))
        fresh = count_of(usage.get("input_tokens"))
        stopped = str(body.get("stop_reason") or "unknown")
        return Answer(
            text=text_of([block for block in body["content"] if block["type"] == "text"]),
            finish_reason=FINISHED.get(stopped, stopped),
            input_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
            output_tokens=count_of(usage.get("output_tokens")),
            model=str(body.get("model") or ""),
            cached_input_tokens=cached,
            cache_write_tokens=written,
            reasoning_tokens=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no content in {str(body)[:200]}") from error


def _words(error: anthropic.APIStatusError) -> str:
    """The provider's own message."""
    body = error.body
    found = body.get("error") if isinstance(body, dict) else None
    message = found.get("message") if isinstance(found, dict) else None
    return f"{error.status_code}: {message or error.message}"[:1000]
