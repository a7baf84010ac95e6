"""huggingface_hub's client behind the chat seam."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from shared.llm.chat import Answer, ChatRequest, Unanswered, chat_error, count_of, text_of
from shared.llm.rates import retry_after

NO_KEY = "none"


class TGIChat:
    """The model that a Text Generation Inference server serves."""

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float) -> None:
        self._model = model
        self._url = base_url
        # Without a key of ours, the client would send the hub's login of whoever runs this process.
        self._client = AsyncInferenceClient(base_url=base_url, api_key=api_key or NO_KEY, timeout=timeout)

    async def complete(self, request: ChatRequest) -> Answer:
        try:
            output = await self._client.chat_completion(
                [dict(message) for message in request.messages],
                model=self._model,
                temperature=request.temperature,
                top_p=request.top_p,
                max_tokens=request.max_tokens,
                seed=request.seed,
                stop=list(request.stop) or None,
                logprobs=request.top_logprobs and True,
                top_logprobs=request.top_logprobs,
            )
            return _answer(output)
        except HfHubHTTPError as error:
            raise chat_error(error.response.status_code, _words(error), retry_after(error.response.headers)) from error
        except (InferenceTimeoutError, httpx2.TransportError) as error:
            raise Unanswered("base_url", f"{self._url} cannot be reached: {error or type(error).__name__}") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise Unanswered("base_url", f"{self._url} sent no chat completion: {error}") from error

    async def aclose(self) -> None:
        await self._client.close()


def _answer(output: Any) -> Answer:
    choice = output.choices[0]
    usage = output.usage
    return Answer(
        text=text_of(choice.message.content or ""),
        finish_reason=str(choice.finish_reason or "unknown"),
        input_tokens=count_of(usage.prompt_tokens) if usage else None,
        output_tokens=count_of(usage.completion_tokens) if usage else None,
        model=str(output.model or ""),
        top_logprobs=_first_token(choice.logprobs),
    )


def _first_token(logprobs: Any) -> dict[str, float] | None:
    """The likeliest first tokens' log-probabilities, if the server gave any."""
    if not logprobs or not logprobs.content:
        return None
    return {top.token: float(top.logprob) for top in logprobs.content[0].top_logprobs or ()}


def _words(error: HfHubHTTPError) -> str:
    """The server's own message."""
    try:
        body = json.loads(error.response.text)
        said = body["error"]["message"] if isinstance(body["error"], dict) else body["error"]
    except (ValueError, KeyError, TypeError):
        said = error.response.text or str(error)
    return f"{error.response.status_code}: {said}"[:1000]
