"""The client's errors: a problem becomes its error, and one readable line."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
import touchstone_client
from touchstone_client import (
    Client,
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    ProblemError,
    RejectedInput,
    ServerError,
    TouchstoneClientError,
    Unauthorized,
    Unreachable,
    errors,
    folders,
)
from touchstone_client.cli import exit_code

from shared import models


def client(response: httpx.Response | Exception) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if isinstance(response, Exception):
            raise response
        return response

    return Client(http=httpx.Client(transport=httpx.MockTransport(answer), base_url="http://test"))


PROBLEM = {
    "type": "urn:touchstone:problem:unprocessable-content",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "…",
    "errors": [{"field": "arms.a.rl.critic", "problem": "'gpt4' is not under models", "fix": "Did you mean gpt-4?"}],
}


def test_field_errors_come_through() -> None:
    with pytest.raises(RejectedInput) as caught:
        client(httpx.Response(422, json=PROBLEM)).get("x")
    assert isinstance(caught.value, InvalidInput) and isinstance(caught.value, ProblemError)
    assert caught.value.errors == (FieldError("arms.a.rl.critic", "'gpt4' is not under models", "Did you mean gpt-4?"),)
    assert str(caught.value) == "arms.a.rl.critic: 'gpt4' is not under models. Did you mean gpt-4?"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, RejectedInput, 2),
        (401, Unauthorized, 2),
        (403, Unauthorized, 2),
        (404, NotFound, 4),
        (409, Conflict, 2),
        (413, RejectedInput, 2),
        (500, ServerError, 3),
        (503, ServerError, 3),
    ],
)
def test_statuses_and_exit_codes(status: int, kind: type[ProblemError], code: int) -> None:
    for response in (
        httpx.Response(status, json={"title": "T", "status": status, "detail": "what happened"}),
        httpx.Response(status, text="what happened"),
    ):
        with pytest.raises(kind) as caught:
            client(response).get("x")
        assert str(caught.value) == "what happened"
        assert caught.value.problem.status == status
        assert exit_code(caught.value) == code


@pytest.mark.parametrize("broken", [{"errors": ["x", {"field": 3}]}, [], "text", {"errors": None}])
def test_problems_that_are_none_are_errors_all_the_same(broken: object) -> None:
    with pytest.raises(TouchstoneClientError):
        client(httpx.Response(422, json=broken)).get("x")


def test_no_server_and_another_server() -> None:
    with pytest.raises(Unreachable) as caught:
        client(httpx.ConnectError("refused")).get("x")
    assert "http://test" in str(caught.value) and exit_code(caught.value) == 3
    with pytest.raises(Unreachable, match="no Touchstone server"):
        client(httpx.Response(200, text="<html>")).get("x")


@pytest.mark.parametrize("answer", [{}, {"items": None}, {"items": [{"a": 1}]}, {"items": ["x"]}, [1]])
def test_json_of_another_server(answer: object) -> None:
    asked = client(httpx.Response(200, json=answer))
    for ask in (lambda: list(asked.list()), lambda: list(asked.list_datasets()), lambda: asked.submit("name: x")):
        with pytest.raises(Unreachable, match="no Touchstone server"):
            ask()


def test_an_answer_that_cannot_be_decoded() -> None:
    with pytest.raises(Unreachable):
        client(httpx.DecodingError("incorrect header check")).get("x")


@pytest.mark.parametrize("value", ["tök", "a\nb", "\x1b[31m"])
def test_what_no_header_can_hold(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Client(token=value)
    assert caught.value.errors[0].field == "token" and value not in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        client(httpx.Response(200)).submit("name: x", value)
    assert caught.value.errors[0].field == "Idempotency-Key"


def test_an_error_is_one_line_that_a_terminal_only_shows() -> None:
    assert str(FieldError("a\nb", "is \x1b[31mred", "Mend é.")) == r"a\nb: is \x1b[31mred. Mend é."


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "", "http://x:port", f"http://{'x' * 300}"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InvalidInput) as caught, Client(url) as made:
        made.get("x")
    assert caught.value.errors[0].field == "url"


def test_the_public_names_are_those_of_the_tree() -> None:
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(touchstone_client.__all__) == tree | {"Client", "Event", "FieldError", "Problem"}
    assert all(name in (errors.__doc__ or "") for name in tree)


def test_the_client_needs_nothing_of_the_server() -> None:
    code = (
        "import sys, touchstone_client.cli, touchstone_client.view\n"
        "server = {'shared', 'services', 'fastapi', 'pydantic', 'pyarrow', 'redis', 'minio', 'celery', 'torch'}\n"
        "print(sorted(server & {name.split('.')[0] for name in sys.modules}))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_client_and_server_take_the_same_files() -> None:
    assert folders.TAKEN == models.TAKEN
    assert folders.PICKLES == models.PICKLES
