"""The openai client behind the chat seam: any server that speaks OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

import httpx2
import openai

from shared.llm.chat import Answer, ChatRequest, Refused, Unanswered, chat_error

OPENAI_HOST = "api.openai.com"
NO_KEY = "none"
"""Local servers take any key, and the client insists on one."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECT_TIMEOUT = 10.0


class OpenAIChat:
    """One model of an OpenAI-compatible server. Retries are the caller's affair, so the client's are off."""

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float, connections: int) -> None:
        self._model = model
        self._url = base_url
        host = httpx2.URL(base_url).host
        # OpenAI's newer models refuse max_tokens; compatible servers often know nothing else.
        self._max_tokens = "max_completion_tokens" if host == OPENAI_HOST else "max_tokens"
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
        if host != OPENAI_HOST:
            # OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS become headers: for OpenAI alone.
            self._client.organization = self._client.project = None
            self._client._custom_headers = {}

    async def complete(self, request: ChatRequest) -> Answer:
        try:
            # The client's own post: its typed method spends a third more time on parameters that are typed here.
            response = await self._client.post("/chat/completions", body=self._body(request), cast_to=httpx2.Response)
            return read_answer(response.json())
        except openai.APIStatusError as error:
            raise chat_error(error.status_code, _words(error), retry_after(error.response.headers)) from error
        except openai.APIConnectionError as error:
            raise Unanswered("base_url", f"{self._url} cannot be reached: {error.__cause__ or error}") from error
        except ValueError as error:
            raise Unanswered("base_url", f"{self._url} sent no chat completion: {error}") from error

    async def aclose(self) -> None:
        await self._client.close()

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        given = {
            "temperature": request.temperature,
            "top_p": request.top_p,
            self._max_tokens: request.max_tokens,
            "seed": request.seed,
            "stop": list(request.stop) or None,
        }
        return {"model": self._model, "messages": list(request.messages)} | {
            name: value for name, value in given.items() if value is not None
        }


def read_answer(body: Any) -> Answer:
    """A chat completion's first choice.

    Raises:
        ValueError: the body is no chat completion.
        Refused: it is an error that came with status 200, as some gateways send.
    """
    if not isinstance(body, dict):
        raise ValueError(f"a {type(body).__name__} instead of an object")
    if body.get("error"):
        raise Refused("", str(body["error"])[:500])
    try:
        choice, usage = body["choices"][0], body.get("usage") or {}
        message = choice["message"]
        return Answer(
            text=message.get("content") or message.get("refusal") or "",
            finish_reason=choice.get("finish_reason") or "unknown",
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            model=body.get("model") or "",
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no choices in {str(body)[:200]}") from error


def retry_after(headers: Any) -> float | None:
    """Seconds that the endpoint asks to wait: `retry-after-ms`, or `retry-after` in seconds."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return float(headers.get(name, "")) / unit
        except ValueError:
            continue
    return None


def _words(error: openai.APIStatusError) -> str:
    """The provider's own message."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return f"{error.status_code}: {message or error.message}"[:1000]
