"""Every error that the client raises, as a tree.

TouchstoneClientError
├── Unreachable            no answer: nothing listens there, or the connection broke
├── InvalidInput           what was given is wrong: names the field and the fix (also raised before any request)
└── ProblemError           the server answered with a problem (RFC 9457): see `.problem`
    ├── RejectedInput      400, 413, 415, 422; an InvalidInput as well
    ├── Unauthorized       401, 403: a token is missing or wrong
    ├── NotFound           404
    ├── Conflict           409: an Idempotency-Key was used with another body, or the state does not allow it
    └── ServerError        5xx: the server, its store or its Redis is in trouble; try again later
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx


def printable(text: str) -> str:
    """A text as one line that a terminal only shows: line breaks and control characters are written out."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


class TouchstoneClientError(Exception):
    """Base of all of the client's errors; its text is readable as it stands, one line for each thing wrong."""


class Unreachable(TouchstoneClientError):
    """The server gave no answer."""


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with what was given."""

    field: str
    problem: str
    fix: str = ""

    def __str__(self) -> str:
        said = f"{self.field}: {self.problem}".rstrip(".")
        return printable(f"{said}. {self.fix}" if self.fix else said)


class InvalidInput(TouchstoneClientError):
    """What was given is wrong; `errors` names every field with its fix."""

    def __init__(self, *errors: FieldError) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


@dataclass(frozen=True)
class Problem:
    """A problem detail, as RFC 9457 defines it, with the fields that are wrong."""

    status: int
    title: str
    detail: str = ""
    type: str = "about:blank"
    errors: tuple[FieldError, ...] = ()

    def __str__(self) -> str:
        if self.errors:
            return "\n".join(str(error) for error in self.errors)
        return printable(self.detail) or f"{self.status} {self.title}"


class ProblemError(TouchstoneClientError):
    """The server answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


class RejectedInput(ProblemError, InvalidInput):
    """The server refused what was given."""

    def __init__(self, problem: Problem) -> None:
        ProblemError.__init__(self, problem)
        self.errors = problem.errors


class Unauthorized(ProblemError):
    """The token is missing or wrong."""


class NotFound(ProblemError):
    """There is no such experiment, stage, dataset or model."""


class Conflict(ProblemError):
    """The request contradicts what is there."""


class ServerError(ProblemError):
    """The server could not do it now."""


KINDS: dict[int, type[ProblemError]] = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict}


def problem_error(response: httpx.Response) -> ProblemError:
    """The error that a response of 400 or more means; its body must have been read."""
    problem = _problem(response)
    if response.status_code >= 500:
        return ServerError(problem)
    return KINDS.get(response.status_code, RejectedInput)(problem)


def _problem(response: httpx.Response) -> Problem:
    title = response.reason_phrase or "error"
    try:
        data: Any = response.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        return Problem(response.status_code, title, response.text[:200].strip())
    errors = tuple(
        FieldError(str(item.get("field", "")), str(item.get("problem", "")), str(item.get("fix", "")))
        for item in data.get("errors") or []
        if isinstance(item, dict)
    )
    return Problem(
        response.status_code,
        str(data.get("title", title)),
        str(data.get("detail") or ""),
        str(data.get("type", "about:blank")),
        errors,
    )
