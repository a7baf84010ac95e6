from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.inference.embedded.protocol import ChatRequest, CompletionRequest, bad_request
from shared.errors import BadInput

MESSAGES = [{"role": "user", "content": "Hello"}]


def refusal(body: dict[str, Any]) -> BadInput:
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate({"model": "m", "messages": MESSAGES, **body})
    return bad_request(caught.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"seed": "x"}, "seed"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_what_the_engine_cannot_do_is_refused_by_name(body: dict[str, Any], field: str) -> None:
    assert refusal(body).field == field


def test_neutral_values_of_what_it_cannot_do_are_taken() -> None:
    neutral = {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "tools": [], "user": "me"}
    request = ChatRequest.model_validate({"model": "m", "messages": MESSAGES, **neutral})
    assert request.frequency_penalty == 0


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert request.messages[0].plain() == {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]]), ([], [])],
)
def test_a_prompt_is_text_or_tokens_one_or_several(prompt: Any, prompts: Any) -> None:
    assert CompletionRequest.model_validate({"model": "m", "prompt": prompt}).prompts == prompts


def test_stop_may_be_one_string_several_or_none() -> None:
    for stop, expected in (("x", ("x",)), (["x", "y"], ("x", "y")), ([], ()), (None, ()), ("", ())):
        request = ChatRequest.model_validate({"model": "m", "messages": MESSAGES, "stop": stop})
        assert request.stops == expected
