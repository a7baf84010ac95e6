"""The openai client behind the chat seam: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import aiohttp
import httpx2
import openai

from shared.llm.chat import (
    Answer,
    ChatError,
    ChatRequest,
    Refused,
    Unanswered,
    body_error,
    chat_error,
    count_of,
    text_of,
)
from shared.llm.rates import Rates, read_rates, retry_after

OPENAI_HOST = "api.openai.com"
NO_KEY = "none"
"""Local servers take any key, and the client insists on one."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECT_TIMEOUT = 10.0


class OpenAIChat:
    """One model of an OpenAI-compatible server. Retries are the caller's affair.

    The openai client says the address, the headers and what an error means; the request itself goes through aiohttp,
    since the client and the transport below it take two thirds of a request's CPU time. Made on an event loop.
    """

    def __init__(self, model: str, base_url: str, api_key: str | None, connections: int) -> None:
        self.on_rates: Callable[[Rates], None] | None = None
        self._model = model
        self._url = base_url
        self._max_tokens = max_tokens_name(base_url)
        address = httpx2.URL(base_url)
        verify = trusted() if address.scheme == "https" else False
        self._client = openai.AsyncOpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(verify=verify, trust_env=False),
        )
        forget_environment(self._client)
        self._chat = str(self._client.base_url.join("chat/completions"))
        kept = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=verify),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=kept | self._client.auth_headers,
            # How long a whole answer may take is the caller's affair too.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            trust_env=address.host not in LOOPBACK,
        )

    async def complete(self, request: ChatRequest) -> Answer:
        body = json.dumps(chat_body(self._model, self._max_tokens, request))
        try:
            # No redirects: a key is bound to its hosts.
            async with self._http.post(self._chat, data=body, allow_redirects=False) as response:
                status, headers, content = response.status, response.headers, await response.read()
        except Exception as error:  # the transport raises more kinds than it names
            message = f"{self._url} cannot be reached: {str(error) or type(error).__name__}"
            unbilled = isinstance(error, aiohttp.ClientConnectorError)
            raise Unanswered("base_url", message, unbilled=unbilled) from error
        if self.on_rates is not None and (rates := read_rates(headers)):
            self.on_rates(rates)
        if status >= 300:
            raise self._error(status, headers, content)
        try:
            return read_answer(json.loads(content))
        except ValueError as error:
            raise Unanswered("base_url", f"{self._url} sent no chat completion: {error}") from error

    async def aclose(self) -> None:
        await self._http.close()
        await self._client.close()

    def _error(self, status: int, headers: Mapping[str, str], content: bytes) -> ChatError:
        if status < 400:
            place = headers.get("location", "elsewhere")
            return Refused("base_url", f"{status}: moved to {place}; name the address that answers itself")
        request = httpx2.Request("POST", self._chat)
        # Unpacked by now, so without the header that says how it was packed.
        kept = {"content-type": headers.get("content-type", "")}
        response = httpx2.Response(status, headers=kept, content=content, request=request)
        return chat_error(
            status, error_words(self._client._make_status_error_from_response(response)), retry_after(headers)
        )


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that clients trust; to read them takes a while."""
    return httpx2.create_ssl_context()


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
            output_tokens=_output_tokens(usage),
            model=str(body.get("model") or ""),
            cached_input_tokens=count_of(_object(usage.get("prompt_tokens_details")).get("cached_tokens")),
            reasoning_tokens=count_of(_object(usage.get("completion_tokens_details")).get("reasoning_tokens")),
            top_logprobs=_first_token(choice.get("logprobs")),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no choices in {str(body)[:200]}") from error


def _output_tokens(usage: Mapping[str, Any]) -> int | None:
    """Tokens of the answer. Reasoning is billed; some servers leave it out of `completion_tokens`, not of the total."""
    completion, total, prompt = (count_of(usage.get(f"{what}_tokens")) for what in ("completion", "total", "prompt"))
    if completion is None or total is None or prompt is None:
        return completion
    return max(completion, total - prompt)


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
