"""Answers that are none, through the caller: kept, and asked again only where the spec says so, never twice paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.llm.caller import Answers, answer_all
from shared.llm.endpoints import Endpoint
from shared.llm.outcomes import Accept
from shared.llm.providers.base import Price
from shared.llm.providers.openai import OpenAIModel
from shared.llm.session import Session
from shared.llm.usage import usage
from tests.integration.llm.asking import ORIGIN, Watcher, requests
from tests.integration.llm.standin import StandIn, completion

ENDPOINT = Endpoint("judge", price=Price(input=1.0, output=2.0))


def ask(
    session: Session, stand_in: StandIn, count: int, reask: Mapping[str, int], accept: Accept | None = None
) -> tuple[Answers, Watcher]:
    given = {"provider": "openai", "model": "m", "base_url": stand_in.url, "reask": reask}
    identity, watch = OpenAIModel.model_validate(given).identity(), Watcher()
    return answer_all(requests(count), identity, ENDPOINT, session, watch, ORIGIN, accept=accept), watch


def cut(text: str) -> dict[str, Any]:
    body = completion(text)
    body["choices"][0]["finish_reason"] = "length"
    return body


def test_truncated_answers_are_kept_as_such_unless_the_spec_says_otherwise(session: Session, stand_in: StandIn) -> None:
    stand_in.reply = lambda prompt, before: (200, cut("half") if prompt in {"q1", "q3"} else completion(prompt), {})
    kept, _ = ask(session, stand_in, 6, {})
    assert usage(kept, ORIGIN)["outcomes"] == {"answered": 4, "truncated": 2}
    assert ask(session, stand_in, 6, {})[0].sent == 0

    stand_in.reply = lambda prompt, before: (200, completion("whole") if before == 2 else cut("more"), {})
    again, watch = ask(session, stand_in, 6, {"truncated": 3})
    assert [entry.answer.text for entry in again.entries] == ["q0", "whole", "q2", "whole", "q4", "q5"]
    assert (again.sent, again.reasked) == (4, {"truncated": 4})
    assert stand_in.asked == {"q0": 1, "q1": 3, "q2": 1, "q3": 3, "q4": 1, "q5": 1}
    assert all(one[0] <= one[1] for one in watch.seen)

    once_more, _ = ask(session, stand_in, 6, {"truncated": 3})
    assert once_more.sent == 0
    assert [one.answer for one in once_more.entries] == [one.answer for one in again.entries]
    used = usage(once_more, ORIGIN)
    assert used["outcomes"] == {"answered": 6}
    assert (used["requests"], used["reasked"]) == (10, {"truncated": 4})
    assert once_more.usd() == sum(entry.usd or 0.0 for entry in once_more.distinct) > kept.usd()


def test_what_the_caller_cannot_parse_is_asked_again_a_limited_number_of_times(
    session: Session, stand_in: StandIn
) -> None:
    stand_in.reply = lambda prompt, before: (200, completion("mumble"), {})
    accept: Accept = lambda index, answer: "unparsable" if answer.text == "mumble" else None  # noqa: E731
    answers, _ = ask(session, stand_in, 2, {"unparsable": 2}, accept)
    assert stand_in.asked == {"q0": 3, "q1": 3}
    assert [entry.answer.text for entry in answers.entries] == ["mumble"] * 2
    assert answers.reasked == {"unparsable": 4}
