"""Requests, answers and the ledger's keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.llm.chat import Answer, ChatRequest, Refused, Unanswered, body_error, chat_error, request_key

IDENTITY = {"provider": "openai", "base_url": "https://api.openai.com/v1", "model": "gpt-4"}

requests = st.builds(
    ChatRequest,
    messages=st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": st.text()}), min_size=1
    ).map(tuple),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0.1, 1),
    max_tokens=st.none() | st.integers(1, 9),
    seed=st.none() | st.integers(0, 9),
    stop=st.lists(st.text(min_size=1), max_size=2).map(tuple),
    sample_index=st.integers(0, 3),
)
answers = st.builds(
    Answer,
    text=st.text(),
    finish_reason=st.sampled_from(["stop", "length"]),
    input_tokens=st.none() | st.integers(0),
    output_tokens=st.none() | st.integers(0),
    model=st.text(),
)


@given(requests)
def test_a_request_survives_json_with_its_key(request: ChatRequest) -> None:
    again = ChatRequest.from_json(request.to_json())
    assert again == request
    assert request_key(IDENTITY, again) == request_key(IDENTITY, request)


@given(requests, requests)
def test_equal_keys_mean_equal_requests(first: ChatRequest, second: ChatRequest) -> None:
    assert (request_key(IDENTITY, first) == request_key(IDENTITY, second)) == (first == second)


@given(answers)
def test_an_answer_survives_json(answer: Answer) -> None:
    assert Answer.from_json(answer.to_json()) == answer


def test_who_answers_is_in_the_key_and_what_the_request_says_itself_is_not_there_twice() -> None:
    request = ChatRequest(({"role": "user", "content": "hi"},), temperature=0.0)
    key = request_key(IDENTITY, request)
    assert request_key({**IDENTITY, "model": "gpt-5"}, request) != key
    assert request_key({**IDENTITY, "base_url": "http://localhost/v1"}, request) != key
    assert request_key({**IDENTITY, "sampling": {"temperature": 0.7}}, request) == key


@pytest.mark.parametrize(
    ("status", "kind", "field"),
    [
        (400, Refused, ""),
        (401, Refused, "api_key"),
        (403, Refused, "api_key"),
        (404, Refused, "model"),
        (402, Refused, ""),
        (413, Refused, ""),
        (422, Refused, ""),
        (408, Unanswered, "base_url"),
        (429, Unanswered, "base_url"),
        (500, Unanswered, "base_url"),
        (503, Unanswered, "base_url"),
    ],
)
def test_what_a_status_means(status: int, kind: type[Any], field: str) -> None:
    error = chat_error(status, "words", 1.5)
    assert type(error) is kind
    assert error.field == field
    if isinstance(error, Unanswered):
        assert (error.retry_after, error.reached) == (1.5, True)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ({"code": 429, "message": "slow down"}, Unanswered, "429: slow down"),
        ({"code": "502", "message": "upstream"}, Unanswered, "502: upstream"),
        ({"type": "overloaded_error", "message": "busy"}, Unanswered, "529: busy"),
        ({"code": "rate_limit_exceeded", "message": "busy"}, Unanswered, "429: busy"),
        ({"status": 401, "message": "no key"}, Refused, "401: no key"),
        ({"code": 200, "message": "odd"}, Refused, "odd"),
        ({"code": None, "message": "no such model"}, Refused, "no such model"),
        ("just words", Refused, "just words"),
    ],
)
def test_an_error_in_a_body_is_what_the_status_in_it_says(error: Any, kind: type[Any], words: str) -> None:
    found = body_error(error)
    assert type(found) is kind and str(found) == words
