"""The openai client behind the chat seam: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai

from shared.llm.chat import Answer, ChatRequest, Unanswered, body_error, chat_error, count_of, text_of
from shared.llm.rates import Rates, read_rates, retry_after

OPENAI_HOST = "api.openai.com"
NO_KEY = "none"
"""Local servers take any key, and the client insists on one."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECT_TIMEOUT = 10.0


class OpenAIChat:
    """One model of an OpenAI-compatible server. Retries are the caller's affair, so the client's are off."""

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float, connections: int) -> None:
        self.on_rates: Callable[[Rates], None] | None = None
        self._model = model
        self._url = base_url
        self._max_tokens = max_tokens_name(base_url)
        host = httpx2.URL(base_url).host
        self._client = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            # aiohttp's transport takes half the CPU time of the default one.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
                timeout=httpx2.Timeout(timeout, connect=CONNECT_TIMEOUT),
                trust_env=host not in LOOPBACK,
            ),
        )
        forget_environment(self._client)
        self._http = self._client._client
        self._chat = self._client.base_url.join("chat/completions")
        kept = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
        self._headers = kept | self._client.auth_headers

    async def complete(self, request: ChatRequest) -> Answer:
        body = json.dumps(chat_body(self._model, self._max_tokens, request))
        try:
            # Below the openai client's own methods, which build every request anew from parts that never change and
            # take half of all CPU time. Connections, address, headers and the reading of errors are the client's.
            response = await self._http.post(self._chat, headers=self._headers, content=body)
        except Exception as error:  # the transport raises more kinds than it names
            reason = error.__cause__ or error
            message = f"{self._url} cannot be reached: {str(reason) or type(reason).__name__}"
            # ConnectTimeout does not tell: the transport means by it every connection that broke, also after sending.
            raise Unanswered("base_url", message, unbilled=isinstance(error, httpx2.ConnectError)) from error
        self._tell(response.headers)
        if response.status_code >= 400:
            words = error_words(self._client._make_status_error_from_response(response))
            raise chat_error(response.status_code, words, retry_after(response.headers))
        try:
            return read_answer(response.json())
        except ValueError as error:
            raise Unanswered("base_url", f"{self._url} sent no chat completion: {error}") from error

    async def aclose(self) -> None:
        await self._client.close()

    def _tell(self, headers: httpx2.Headers) -> None:
        if self.on_rates is not None and (rates := read_rates(headers)):
            self.on_rates(rates)


def max_tokens_name(base_url: str) -> str:
    """What the server calls the longest answer: OpenAI's newer models refuse max_tokens; others know nothing else."""
    return "max_completion_tokens" if httpx2.URL(base_url).host == OPENAI_HOST else "max_tokens"


def chat_body(model: str, max_tokens: str, request: ChatRequest) -> dict[str, Any]:
    """The body of POST /chat/completions; `max_tokens` is what the server calls it."""
    given = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        max_tokens: request.max_tokens,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "logprobs": request.top_logprobs and True,
        "top_logprobs": request.top_logprobs,
    }
    return {"model": model, "messages": list(request.messages)} | {
        name: value for name, value in given.items() if value is not None
    }


def forget_environment(client: openai.OpenAI | openai.AsyncOpenAI) -> None:
    """Leave out headers that the client read from this process's environment, which are for OpenAI alone."""
    # OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS.
    if client.base_url.host != OPENAI_HOST:
        client.organization = client.project = None
        client._custom_headers = {}


def read_answer(body: Any) -> Answer:
    """A chat completion's first choice.

    Raises:
        ValueError: the body is no chat completion.
        Refused, Unanswered: it is an error that came with status 200, as some gateways send.
    """
    if not isinstance(body, dict):
        raise ValueError(f"a {type(body).__name__} instead of an object")
    if body.get("error"):
        raise body_error(body["error"])
    try:
        choice, usage = body["choices"][0], _object(body.get("usage"))
        message, finish_reason = choice["message"], choice.get("finish_reason")
        if choice.get("error") or finish_reason == "error":
            # It broke off in the middle, behind a gateway.
            raise body_error(choice.get("error") or {"code": 502, "message": "the answer ended in an error"})
        refused = message.get("refusal") and not message.get("content")
        return Answer(
            text=text_of(message.get("content") or message.get("refusal") or ""),
            finish_reason="refusal" if refused else str(finish_reason or "unknown"),
            input_tokens=count_of(usage.get("prompt_tokens")),
            output_tokens=count_of(usage.get("completion_tokens")),
            model=str(body.get("model") or ""),
            cached_input_tokens=count_of(_object(usage.get("prompt_tokens_details")).get("cached_tokens")),
            reasoning_tokens=count_of(_object(usage.get("completion_tokens_details")).get("reasoning_tokens")),
            top_logprobs=_first_token(choice.get("logprobs")),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no choices in {str(body)[:200]}") from error


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_token(logprobs: Any) -> dict[str, float] | None:
    """The likeliest first tokens' log-probabilities, if the endpoint gave any."""
    if not logprobs or not logprobs.get("content"):
        return None
    return {top["token"]: float(top["logprob"]) for top in logprobs["content"][0].get("top_logprobs") or ()}


def error_words(error: openai.APIStatusError) -> str:
    """The provider's own message."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return f"{error.status_code}: {message or error.message}"[:1000]
