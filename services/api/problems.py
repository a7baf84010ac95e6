"""Errors as problem details (RFC 9457): every answer of 400 or more is `application/problem+json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import redis
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.api.accept import prefers_html
from services.api.pages.drawing import draw
from shared.errors import BadInput, FieldError, Outage, PermanentError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "5"


class ProblemField(BaseModel):
    """One thing wrong with the input."""

    field: str = Field(description="a path into the input", examples=["arms.rlaif-weak.rl.critic"])
    problem: str = Field(examples=["'gpt4' is not under models"])
    fix: str = Field(examples=["Did you mean gpt-4?"])


class ProblemDetails(BaseModel):
    """RFC 9457, with the fields that are wrong."""

    type: str = Field(examples=["urn:touchstone:problem:unprocessable-content"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["arms.rlaif-weak.rl.critic: 'gpt4' is not under models. Did you mean gpt-4?"])
    errors: list[ProblemField] = []


class Problem(Exception):
    """Raised anywhere in the API to answer with a problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        super().__init__(detail)


class TooLarge(Problem):
    """A body over its limit."""

    def __init__(self, field: str, limit: int, setting: str) -> None:
        fix = f"Send less, or raise {setting} on the server."
        error = FieldError(field, f"is larger than {limit:,} bytes", fix)
        super().__init__(413, str(error), [error])


def not_found(what: str) -> Problem:
    """404, saying what is not there."""
    return Problem(404, f"there is no {what}")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of the problems that an endpoint may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


def problem_response(problem: Problem) -> JSONResponse:
    """The answer that a problem is sent as."""
    title = HTTPStatus(problem.status).phrase
    body = {
        "type": f"urn:touchstone:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "errors": [{"field": error.field, "problem": error.problem, "fix": error.fix} for error in problem.errors],
    }
    return JSONResponse(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def answer(request: Request, problem: Problem) -> Response:
    """The problem as JSON; as a page where a browser asked for one."""
    path = request.url.path
    if path.startswith("/v1/") or not prefers_html(request.headers.get("accept", "")):
        return problem_response(problem)
    page = draw("problem.html", problem.status, problem=problem, title=HTTPStatus(problem.status).phrase)
    page.headers.update(problem.headers)
    return page


def install(app: FastAPI) -> None:
    """Answer every error with problem details."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(BadInput, _bad_input)
    app.add_exception_handler(Outage, _outage)
    app.add_exception_handler(redis.RedisError, _outage)
    app.add_exception_handler(PermanentError, _damaged)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(request, error)


async def _bad_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadInput)
    return answer(request, Problem(422, str(error), error.errors))


async def _outage(request: Request, error: Exception) -> Response:
    log.warning("api.outage", path=request.url.path, error=str(error))
    what = str(error) if isinstance(error, Outage) else f"Redis cannot be reached: {error}"
    return answer(request, Problem(503, what, headers={"Retry-After": RETRY_AFTER}))


async def _damaged(request: Request, error: Exception) -> Response:
    log.error("api.damaged_store", path=request.url.path, error=str(error))
    return answer(request, Problem(500, str(error)))


def _field(steps: Sequence[str | int]) -> str:
    """A field's name, without the first step (query, body) where there are more."""
    return ".".join(str(step) for step in steps[1:]) or str(steps[0])


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [FieldError(_field(item["loc"]), item["msg"], "See /openapi.json.") for item in error.errors()]
    return answer(request, Problem(422, "; ".join(str(one) for one in errors), errors))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"nothing is at {request.url.path}; see /openapi.json"
    if error.status_code == 405:
        detail = f"{request.method} is not allowed at {request.url.path}; see /openapi.json"
    return answer(request, Problem(error.status_code, detail, headers=error.headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("api.unexpected", path=request.url.path, exc_info=error)
    return answer(request, Problem(500, "an error of the server's own; its log says more"))
