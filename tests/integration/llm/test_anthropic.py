"""Claude through the real SDK, against a server that speaks the Messages API."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from shared.errors import BadInput, PermanentError
from shared.llm.caller import Answers, answer_all
from shared.llm.chat import ChatRequest, user_request
from shared.llm.endpoints import Endpoint
from shared.llm.outcomes import outcome
from shared.llm.providers.anthropic import AnthropicModel
from shared.llm.providers.base import Price
from shared.llm.session import Session
from tests.integration.llm.asking import ORIGIN, Watcher, requests
from tests.integration.llm.standin import StandIn

PRICE = Price(input=3.0, output=15.0, cached_input=0.3, cache_write=3.75)


def message(text: str, stop_reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    """A Messages API body."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-stand-in",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 10, "output_tokens": 5, **usage},
    }


def failure(words: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words}}


def model(stand_in: StandIn, **fields: Any) -> AnthropicModel:
    url = stand_in.url.removesuffix("/v1")
    return AnthropicModel.model_validate({"provider": "anthropic", "model": "claude-1", "base_url": url, **fields})


def ask(session: Session, asked: AnthropicModel, given: list[ChatRequest], **endpoint: Any) -> Answers:
    return answer_all(given, asked.identity(), Endpoint("critic", **endpoint), session, Watcher(), ORIGIN)


def test_a_request_says_what_was_asked_and_its_usage_is_vendor_neutral(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-someone-else")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-secret: 1")
    cache = {"cache_read_input_tokens": 90, "cache_creation_input_tokens": 20}
    details: dict[str, Any] = {**cache, "output_tokens_details": {"thinking_tokens": 2}}
    stand_in.reply = lambda prompt, before: (200, message("yes", **details), {})
    asked = model(stand_in, system="Be brief.", temperature=0.5, max_tokens=7)
    answers = ask(session, asked, [user_request(asked.identity(), "hi", stop=("x",))], price=PRICE)
    assert stand_in.bodies[0] == {
        "model": "claude-1",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop_sequences": ["x"],
    }
    headers = stand_in.headers[0]
    assert headers["authorization"] == "Bearer none" and headers["anthropic-version"]
    assert "secret" not in str(headers) and "someone-else" not in str(headers)
    entry = answers.entries[0]
    assert (entry.answer.text, entry.answer.finish_reason, entry.answer.model) == ("yes", "stop", "claude-stand-in")
    used = entry.answer
    assert (used.input_tokens, used.cached_input_tokens, used.cache_write_tokens) == (120, 90, 20)
    assert (entry.answer.output_tokens, entry.answer.reasoning_tokens) == (5, 2)
    assert entry.usd == pytest.approx((10 * 3.0 + 90 * 0.3 + 20 * 3.75 + 5 * 15.0) / 1e6)


@pytest.mark.parametrize(
    ("stop_reason", "expected"),
    [("end_turn", "answered"), ("stop_sequence", "answered"), ("max_tokens", "truncated"), ("refusal", "refused")],
)
def test_stop_reasons_are_put_into_the_common_words(
    session: Session, stand_in: StandIn, stop_reason: str, expected: str
) -> None:
    stand_in.reply = lambda prompt, before: (200, message("words", stop_reason), {})
    answers = ask(session, model(stand_in), requests(2))
    assert [outcome(entry.answer) for entry in answers.entries] == [expected] * 2


@pytest.mark.parametrize(
    ("status", "field"), [(400, "critic: 400"), (401, r"api_key: 401"), (403, r"api_key: 403"), (404, r"model: 404")]
)
def test_a_refusal_ends_the_stage_in_the_providers_words(
    session: Session, stand_in: StandIn, status: int, field: str
) -> None:
    stand_in.reply = lambda prompt, before: (status, failure("my own words"), {})
    with pytest.raises(PermanentError, match=rf"models\.critic.*{field}: my own words|{field}: my own words"):
        ask(session, model(stand_in), requests(3))
    assert stand_in.asked.total() == 1


@pytest.mark.parametrize("status", [429, 500, 529])
def test_an_overloaded_endpoint_is_asked_again_when_it_says(session: Session, stand_in: StandIn, status: int) -> None:
    stand_in.reply = lambda prompt, before: (
        (200, message("at last"), {}) if before else (status, failure("busy", "overloaded_error"), {"retry-after": "0"})
    )
    answers = ask(session, model(stand_in), requests(3))
    assert [entry.answer.text for entry in answers.entries] == ["at last"] * 3


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"content": null}'])
def test_a_body_that_is_no_message_is_never_kept(session: Session, stand_in: StandIn, body: bytes) -> None:
    stand_in.reply = lambda prompt, before: (200, message("ok"), {}) if before else (200, body, {})
    assert [entry.answer.text for entry in ask(session, model(stand_in), requests(1)).entries] == ["ok"]


def test_log_probabilities_are_not_asked_for_where_there_are_none(session: Session, stand_in: StandIn) -> None:
    given = [ChatRequest(({"role": "user", "content": "hi"},), top_logprobs=5)]
    with pytest.raises(PermanentError, match=r"models\.critic\.provider: anthropic's API has no top_logprobs"):
        ask(session, model(stand_in), given)
    assert not stand_in.asked


def test_without_the_extra_the_error_says_what_to_install(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    monkeypatch.delitem(sys.modules, "shared.llm.anthropic_chat", raising=False)
    with pytest.raises(BadInput, match=r"models\.critic\.provider: .*\(anthropic\)\. .*touchstone-rlaif\[anthropic\]"):
        ask(session, model(stand_in), requests(1))
