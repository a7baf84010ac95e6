"""What an answer is, and which are asked again."""

from __future__ import annotations

from typing import Any

import pytest

from shared.llm.chat import Answer, ChatRequest, Unanswered, endpoint_of, request_key
from shared.llm.openai_chat import read_answer
from shared.llm.outcomes import due, outcome
from shared.llm.providers.openai import OpenAIModel

IDENTITY = {"provider": "openai", "base_url": "https://api.openai.com/v1", "model": "gpt-4"}


@pytest.mark.parametrize(
    ("text", "finish_reason", "expected"),
    [
        ("yes", "stop", "answered"),
        ("yes", "unknown", "answered"),
        (" \n", "stop", "empty"),
        ("half of", "length", "truncated"),
        ("", "length", "truncated"),
        ("", "content_filter", "filtered"),
        ("I can't help with that.", "refusal", "refused"),
    ],
)
def test_what_an_answer_is(text: str, finish_reason: str, expected: str) -> None:
    assert outcome(Answer(text, finish_reason)) == expected


def test_a_refusal_in_openai_s_own_field_is_one() -> None:
    body = {"choices": [{"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"}]}
    assert outcome(read_answer(body)) == "refused"


def body(message: Any, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop", **choice}]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"error": {"code": 500, "message": "upstream"}, **body({"content": "half of"})},
        body({"content": "half of"}, finish_reason="error"),
        body({"content": "half of"}, error={"code": 502, "message": "upstream"}),
    ],
)
def test_what_ended_in_an_error_is_no_answer(wrong: Any) -> None:
    with pytest.raises(Unanswered, match="50"):
        read_answer(wrong)


@pytest.mark.parametrize("wrong", [None, {}, body(None), body({"content": 7}), {"choices": [7]}, {"choices": {}}])
def test_what_is_no_completion_is_no_answer(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"instead of|no choices"):
        read_answer(wrong)


def test_a_text_in_parts_is_one_text_and_odd_usage_is_none() -> None:
    parts = body({"content": [{"type": "text", "text": "to"}, {"type": "image"}, {"type": "text", "text": "gether"}]})
    answer = read_answer(parts | {"usage": {"prompt_tokens": "many", "completion_tokens": 3.0}})
    assert (answer.text, answer.input_tokens, answer.output_tokens) == ("together", None, 3)
    assert not answer.says_usage
    assert read_answer(parts | {"usage": "none", "model": None}).input_tokens is None


def test_only_what_the_spec_names_is_due_and_only_so_often() -> None:
    answers = [Answer("a", "stop"), Answer("b", "length"), Answer("", "stop"), Answer("d", "stop")]
    parsed = lambda index, answer: "unparsable" if answer.text == "d" else None  # noqa: E731
    assert due(answers, {}, 1, parsed) == {}
    limits = {"truncated": 2, "unparsable": 1, "refused": 3}
    assert due(answers, limits, 1, parsed) == {1: "truncated", 3: "unparsable"}
    assert due(answers, limits, 2, parsed) == {1: "truncated"}
    assert due(answers, limits, 3, parsed) == {}


def test_each_time_has_a_key_of_its_own_and_the_first_is_what_it_always_was() -> None:
    first = ChatRequest(({"role": "user", "content": "hi"},))
    again = ChatRequest(({"role": "user", "content": "hi"},), retry=1)
    assert "retry" not in first.to_json()
    assert ChatRequest.from_json(again.to_json()) == again
    assert request_key(IDENTITY, first) != request_key(IDENTITY, again)


def test_re_asking_is_in_a_stage_s_key_but_in_no_request_s() -> None:
    plain = OpenAIModel(provider="openai", model="gpt-4")
    assert "reask" not in plain.identity()
    again = plain.model_copy(update={"reask": OpenAIModel.model_fields["reask"].default.model_copy()})
    assert again.identity() == plain.identity()
    asked = OpenAIModel.model_validate({"provider": "openai", "model": "gpt-4", "reask": {"truncated": 1}})
    assert asked.identity()["reask"] == {"truncated": 1}
    assert endpoint_of(asked.identity()) == endpoint_of(plain.identity())


def test_reasoning_that_only_the_total_counts_is_part_of_what_was_used() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    assert read_answer(body({"content": "yes"}) | {"usage": usage}).output_tokens == 35
    assert read_answer(body({"content": "yes"}) | {"usage": usage | {"total_tokens": 15}}).output_tokens == 5
