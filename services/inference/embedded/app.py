"""The embedded engine's HTTP surface: OpenAI's chat and plain completions, models, vLLM's /tokenize, and /health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from services.inference.embedded import answers
from services.inference.embedded.jobs import Delta
from services.inference.embedded.protocol import (
    ChatRequest,
    CompletionRequest,
    Sampling,
    TokenizeRequest,
    bad_request,
)
from services.inference.embedded.service import ClientGone, ContextTooLong, Service, UnknownModel
from shared.errors import BadInput, Stopped

RequestModel = TypeVar("RequestModel", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


class Json(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content)


def make_app(service: Service) -> Starlette:
    """The ASGI app that serves one checkpoint."""
    handlers = Handlers(service)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", guarded(handlers.chat), methods=["POST"]),
            Route("/v1/completions", guarded(handlers.completions), methods=["POST"]),
            Route("/v1/models", guarded(handlers.models)),
            Route("/v1/models/{name:path}", guarded(handlers.model)),
            Route("/tokenize", guarded(handlers.tokenize), methods=["POST"]),
            Route("/health", guarded(handlers.health)),
        ]
    )


def guarded(endpoint: Endpoint) -> Endpoint:
    """Turn what an endpoint raises into OpenAI's errors."""

    async def guard(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadInput as error:
            return error_answer(error)
        except Stopped as error:
            return Json(error_body(str(error), "service_unavailable", None, None), 503)
        except ClientGone:
            return Response(status_code=499)

    return guard


def error_answer(error: BadInput) -> Response:
    """400, or 404 for a model that is not here."""
    message = f"{error.problem}. {error.fix}".strip() if error.fix else error.problem
    code, status = None, 400
    if isinstance(error, UnknownModel):
        code, status = "model_not_found", 404
    elif isinstance(error, ContextTooLong):
        code = "context_length_exceeded"
    return Json(error_body(f"{error.field}: {message}", "invalid_request_error", error.field, code), status)


def error_body(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Handlers:
    """One method an endpoint."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.checkpoint = service.checkpoint

    async def chat(self, request: Request) -> Response:
        asked = await parse(request, ChatRequest)
        work = [self.service.chat(asked)]
        if asked.stream:
            return events(self._chat_events(asked, work))
        jobs = await self.service.run(work, disconnection(request))
        choices = answers.chat_choices(self.checkpoint, jobs[0], asked.return_token_ids)
        return Json(answers.Envelope("chat.completion", asked.model).body(choices, usage=answers.usage(jobs)))

    async def completions(self, request: Request) -> Response:
        asked = await parse(request, CompletionRequest)
        work = self.service.completions(asked)
        echo = [self._echo(asked, at, prompt) for at, (prompt, _) in enumerate(work)]
        if asked.stream:
            if asked.echo:
                raise BadInput("echo", "cannot be streamed", "Leave out stream or echo.")
            return events(self._text_events(asked, work))
        jobs = await self.service.run(work, disconnection(request))
        choices = answers.text_choices(self.checkpoint, jobs, echo, asked.return_token_ids)
        return Json(answers.Envelope("text_completion", asked.model).body(choices, usage=answers.usage(jobs)))

    async def tokenize(self, request: Request) -> Response:
        tokens = self.service.tokenize(await parse(request, TokenizeRequest))
        return Json({"count": len(tokens), "max_model_len": self.checkpoint.limit, "tokens": tokens})

    async def models(self, request: Request) -> Response:
        return Json({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        self.service.check_model(request.path_params["name"])
        return Json(self._card())

    async def health(self, request: Request) -> Response:
        healthy = self.service.healthy
        return Json({"status": "ok" if healthy else "the engine's thread has ended"}, 200 if healthy else 503)

    def _card(self) -> dict[str, Any]:
        limit = self.checkpoint.limit
        return {"id": self.checkpoint.name, "object": "model", "created": 0, "owned_by": "touchstone"} | {
            "max_model_len": limit
        }

    def _echo(self, asked: CompletionRequest, at: int, prompt: list[int]) -> str | None:
        if not asked.echo:
            return None
        given = asked.prompts[at]
        return given if isinstance(given, str) else self.checkpoint.decode(prompt)

    async def _chat_events(self, asked: ChatRequest, work: Any) -> AsyncIterator[dict[str, Any]]:
        envelope = answers.Envelope("chat.completion.chunk", asked.model)
        for index in range(asked.n or 1):
            yield envelope.body([answers.chat_opening(index)])
        async for event in self.service.stream(work):
            if isinstance(event, list):
                if wants_usage(asked):
                    yield envelope.body([], usage=answers.usage(event))
            else:
                choice = answers.chat_delta(self.checkpoint, event[1], bool(asked.logprobs))
                yield envelope.body([choice])

    async def _text_events(self, asked: CompletionRequest, work: Any) -> AsyncIterator[dict[str, Any]]:
        envelope = answers.Envelope("text_completion", asked.model)
        offsets: dict[int, int] = {}
        async for event in self.service.stream(work):
            if isinstance(event, list):
                if wants_usage(asked):
                    yield envelope.body([], usage=answers.usage(event))
                continue
            at, delta = event
            index = at * (asked.n or 1) + delta.index
            choice = self._text_choice(delta, index, offsets, asked.logprobs is not None)
            yield envelope.body([choice])

    def _text_choice(self, delta: Delta, index: int, offsets: dict[int, int], logprobs: bool) -> dict[str, Any]:
        offset = offsets.get(index, 0)
        offsets[index] = offset + sum(len(self.checkpoint.token_text(entry.token)) for entry in delta.logprobs)
        return answers.text_delta(self.checkpoint, delta, index, offset, logprobs)


def wants_usage(asked: Sampling) -> bool:
    return asked.stream_options is not None and asked.stream_options.include_usage


async def parse(request: Request, model: type[RequestModel]) -> RequestModel:
    """The request's body. Raises `BadInput`."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise bad_request(error) from None


def disconnection(request: Request) -> asyncio.Future[None]:
    """Done when the client has gone; cancelled with the request's own task otherwise."""

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            continue

    return asyncio.ensure_future(wait())


def events(chunks: AsyncIterator[dict[str, Any]]) -> Response:
    """Server-sent events, ended by [DONE]; an engine that shuts down says so in the last one."""

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield b"data: " + to_json(chunk) + b"\n\n"
        except Stopped as error:
            yield b"data: " + to_json(error_body(str(error), "service_unavailable", None, None)) + b"\n\n"
        yield b"data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")
