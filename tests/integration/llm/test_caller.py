"""Asking an endpoint: what it says when something is wrong, and what is paid."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.errors import BadInput, Outage, PermanentError, Stopped
from shared.llm import sending
from shared.llm.caller import Origin, answer_all
from shared.llm.chat import ChatRequest, request_key, user_request
from shared.llm.claims import Claims
from shared.llm.endpoints import Endpoint
from shared.llm.entries import Scope
from shared.llm.providers.base import Limits, Price
from shared.llm.providers.openai import OpenAIModel
from shared.llm.providers.tgi import TGIModel
from shared.llm.session import Session
from shared.store import S3Store
from tests.integration.llm.asking import ORIGIN, Watcher, ask, requests
from tests.integration.llm.conducting import ORIGIN as PAYING
from tests.integration.llm.conducting import accounts, conducting
from tests.integration.llm.standin import StandIn, completion, refusal
from tests.waiting import wait_until

NewSession = Callable[[Path | None], Session]


def texts(session: Session, url: str, asked: list[ChatRequest], **more: Any) -> list[str]:
    return [entry.answer.text for entry in ask(session, url, asked, **more).entries]


def test_answers_come_in_the_requests_order_and_equal_requests_are_sent_once(
    session: Session, stand_in: StandIn
) -> None:
    asked = requests(40) + requests(40)[::-1]
    answers = ask(session, stand_in.url, asked)
    assert [entry.answer.text for entry in answers.entries] == [f"re: {item.messages[0]['content']}" for item in asked]
    assert answers.sent == 40
    assert set(stand_in.asked.values()) == {1} and len(stand_in.asked) == 40


def test_what_the_ledger_has_is_not_asked_again_here_or_on_another_host(
    session: Session, new_session: NewSession, stand_in: StandIn, tmp_path: Path
) -> None:
    ask(session, stand_in.url, requests(30))
    assert ask(session, stand_in.url, requests(30)).sent == 0
    other_host = new_session(tmp_path / "other")
    answers = ask(other_host, stand_in.url, requests(31))
    assert answers.sent == 1
    assert set(stand_in.asked.values()) == {1}


def test_a_segment_that_cannot_be_read_now_is_read_later(
    session: Session, new_session: NewSession, stand_in: StandIn, store: S3Store, tmp_path: Path
) -> None:
    ask(session, stand_in.url, requests(30))
    segments = {info.name: store.get(info.name) for info in store.list("ledger/")}
    for name, data in segments.items():
        store.put(name, data[: len(data) // 2])
    other_host = new_session(tmp_path / "other")
    identity = OpenAIModel(provider="openai", model="m", base_url=stand_in.url).identity()
    other_host.ledger.refresh(Scope.of(identity))
    for name, data in segments.items():
        store.put(name, data)
    assert ask(other_host, stand_in.url, requests(30)).sent == 0


def test_samples_of_one_prompt_are_asked_one_by_one(session: Session, stand_in: StandIn) -> None:
    message = {"role": "user", "content": "same"}
    asked = [ChatRequest((message,), sample_index=index) for index in range(3)]  # type: ignore[arg-type]
    assert ask(session, stand_in.url, asked).sent == 3
    assert stand_in.asked["same"] == 3


def test_two_stages_that_race_send_each_request_once(
    new_session: NewSession, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.latency = 0.02
    sessions = [new_session(None), new_session(None), new_session(tmp_path / "other")]
    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask, session, stand_in.url, requests(150)) for session in sessions * 2]
        answers = [future.result() for future in asking]
    assert set(stand_in.asked.values()) == {1}
    assert sum(answer.sent for answer in answers) == 150
    assert len({tuple(entry.answer.text for entry in answer.entries) for answer in answers}) == 1


def test_a_wiped_redis_makes_nobody_pay_twice(
    new_session: NewSession, stand_in: StandIn, redis_server: redis.Redis, tmp_path: Path
) -> None:
    stand_in.latency = 3.0
    first, second = new_session(None), new_session(tmp_path / "other")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(ask, first, stand_in.url, requests(20))
        wait_until(lambda: stand_in.asked, 10, "requests in flight")
        redis_server.flushdb()
        two = pool.submit(ask, second, stand_in.url, requests(20))
        assert one.result().sent + two.result().sent == 20
    assert set(stand_in.asked.values()) == {1}


def test_a_wrong_key_is_refused_once(session: Session, stand_in: StandIn) -> None:
    stand_in.reply = lambda prompt, before: (401, refusal("Incorrect API key provided: sk-…"), {})
    with pytest.raises(PermanentError, match=r"models\.judge\.api_key: 401: Incorrect API key"):
        ask(session, stand_in.url, requests(500))
    assert stand_in.asked.total() == 1


@pytest.mark.parametrize(
    ("status", "field"), [(400, r"models\.judge: 400"), (403, r"\.api_key"), (404, r"\.model"), (422, r"models\.judge")]
)
def test_a_refusal_stops_in_the_providers_words(session: Session, stand_in: StandIn, status: int, field: str) -> None:
    stand_in.reply = lambda prompt, before: (status, refusal("my own words"), {})
    with pytest.raises(PermanentError, match=f"{field}.*my own words"):
        ask(session, stand_in.url, requests(3))
    assert stand_in.asked.total() == 1


def test_a_late_refusal_loses_no_answer(session: Session, stand_in: StandIn) -> None:
    stand_in.latency = 0.05
    stand_in.reply = lambda prompt, before: (
        (400, refusal("too long"), {}) if prompt == "q70" and not before else (200, completion(prompt), {})
    )
    with pytest.raises(PermanentError, match="too long"):
        ask(session, stand_in.url, requests(300))
    assert stand_in.asked.total() < 300
    ask(session, stand_in.url, requests(300))
    assert {prompt for prompt, count in stand_in.asked.items() if count > 1} == {"q70"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_endpoint_is_asked_again(session: Session, stand_in: StandIn, status: int) -> None:
    stand_in.reply = lambda prompt, before: (
        (status, refusal("busy"), {"retry-after": "0"}) if before < 2 else (200, completion("at last"), {})
    )
    assert texts(session, stand_in.url, requests(10)) == ["at last"] * 10
    assert set(stand_in.asked.values()) == {3}


def test_an_endpoint_that_stays_busy_is_an_outage(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BUSY_SECONDS", 0.0)
    stand_in.reply = lambda prompt, before: (429, refusal("slow down"), {"retry-after": "0"})
    with pytest.raises(Outage, match=r"models\.judge\.base_url: 429: slow down"):
        ask(session, stand_in.url, requests(100))
    assert stand_in.asked.total() == sending.ATTEMPTS


def test_an_unreachable_endpoint_is_an_outage_that_names_it(session: Session) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(Outage, match=r"models\.judge\.base_url: http://127\.0\.0\.1:\d+/v1 cannot be reached"):
            ask(session, url, requests(5))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"mess'])
def test_an_answer_that_is_none_is_never_kept(session: Session, stand_in: StandIn, body: bytes) -> None:
    stand_in.reply = lambda prompt, before: (200, completion("ok"), {}) if before else (200, body, {})
    assert texts(session, stand_in.url, requests(2)) == ["ok", "ok"]


def test_nothing_is_sent_while_the_lease_is_not_surely_ours(session: Session, stand_in: StandIn) -> None:
    watch = Watcher(held=False)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, session, stand_in.url, requests(5), watch)
        wait_until(lambda: len(watch.seen) > 12, 20, "the caller to wait")
        assert not stand_in.asked
        watch.held = True
        assert future.result().sent == 5


def test_stopping_waits_for_what_is_in_flight_and_keeps_it(session: Session, stand_in: StandIn) -> None:
    stand_in.latency = 0.3
    watch = Watcher()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, session, stand_in.url, requests(1000), watch)
        wait_until(lambda: len(stand_in.asked) > 70, 20, "requests in flight")
        watch.reason = Stopped("cancelled")
        with pytest.raises(Stopped, match="cancelled"):
            future.result()
    sent = stand_in.asked.total()
    assert sent < 400
    stand_in.latency = 0.0
    ask(session, stand_in.url, requests(1000))
    assert set(stand_in.asked.values()) == {1}


def test_concurrency_is_the_endpoints_limit_for_all_stages_together(session: Session, stand_in: StandIn) -> None:
    stand_in.latency = 0.1
    endpoint = Endpoint("judge", limits=Limits(concurrency=5))
    with ThreadPoolExecutor(3) as pool:
        for future in [
            pool.submit(ask, session, stand_in.url, requests(40, prefix), None, endpoint) for prefix in "abc"
        ]:
            future.result()
    assert stand_in.most_at_once == 5


def test_who_asked_first_bears_the_cost(session: Session, stand_in: StandIn) -> None:
    endpoint = Endpoint("judge", price=Price(input=1.0, output=2.0))
    first = ask(session, stand_in.url, requests(10), endpoint=endpoint)
    assert first.usd(ORIGIN) == pytest.approx(10 * (10 * 1 + 5 * 2) / 1e6)
    other = Origin("another", "stage")
    second = ask(session, stand_in.url, requests(15), endpoint=endpoint, origin=other)
    assert second.usd(other) == pytest.approx(first.usd(ORIGIN) / 2)
    assert second.usd() == pytest.approx(first.usd() * 1.5)


def test_a_full_disk_is_an_outage_and_the_answers_are_kept(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if b"re: q" in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Outage, match="No space left"):
            ask(session, stand_in.url, requests(20))
    assert stand_in.asked
    ask(session, stand_in.url, requests(20))
    assert set(stand_in.asked.values()) == {1}


def test_only_the_operators_keys_are_sent_and_only_to_their_hosts(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-secret: 1")
    endpoint = Endpoint("judge", api_key="env:MY_KEY")
    with pytest.raises(BadInput, match=r"models\.judge\.api_key"):
        ask(session, stand_in.url, requests(1), endpoint=endpoint)
    assert not stand_in.asked
    session.settings.api_keys["MY_KEY"] = ["127.0.0.1"]
    ask(session, stand_in.url, requests(1), endpoint=endpoint)
    assert stand_in.headers[0]["authorization"] == "Bearer sk-secret"
    assert "secret" not in str({name: value for name, value in stand_in.headers[0].items() if name != "authorization"})


def test_tgi_is_asked_through_its_own_client(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    url = stand_in.url.removesuffix("/v1")
    identity = TGIModel(provider="tgi", base_url=url).identity()
    asked = [ChatRequest(({"role": "user", "content": "hi"},), temperature=0.5, max_tokens=7, seed=3, stop=("x",))]
    answers = answer_all(asked, identity, Endpoint("teacher"), session, Watcher(), ORIGIN)
    assert answers.entries[0].answer.text == "re: hi"
    assert (answers.entries[0].answer.input_tokens, answers.entries[0].answer.finish_reason) == (10, "stop")
    body = stand_in.bodies[0]
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert (body["temperature"], body["max_tokens"], body["seed"], body["stop"]) == (0.5, 7, 3, ["x"])
    assert "hf_secret" not in str(stand_in.headers)

    stand_in.reply = lambda prompt, before: (422, {"error": "inputs too long", "error_type": "validation"}, {})
    with pytest.raises(PermanentError, match=r"models\.teacher: 422: inputs too long"):
        answer_all(requests(3), identity, Endpoint("teacher"), session, Watcher(), ORIGIN)
    stand_in.reply = lambda prompt, before: (200, completion("ok"), {}) if before else (503, {"error": "loading"}, {})
    assert answer_all(requests(1, "z"), identity, Endpoint("t"), session, Watcher(), ORIGIN).sent == 1


def test_an_openai_request_says_what_was_asked(session: Session, stand_in: StandIn) -> None:
    model = OpenAIModel(
        provider="openai", model="m", base_url=stand_in.url, system="Be brief.", temperature=0, top_p=0.5, max_tokens=7
    )
    asked = [user_request(model.identity(), "hi")]
    answer_all(asked, model.identity(), Endpoint("x"), session, Watcher(), ORIGIN)
    assert stand_in.bodies[0] == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
    }


def test_money_goes_back_before_a_wait_for_another_one_s_claims(
    session: Session, stand_in: StandIn, store: S3Store, redis_server: redis.Redis, tmp_path: Path
) -> None:
    """That one may be waiting for this money: then neither would ever go on."""
    identity = OpenAIModel(provider="openai", model="m", base_url=stand_in.url).identity()
    asked = requests(3)
    key = request_key(identity, asked[0])
    rival = Claims(redis_server, tmp_path / "elsewhere")
    assert rival.claim([key], lambda: None) == {key}
    endpoint = Endpoint("judge", price=Price(input=1.0, output=2.0), max_tokens=10)
    with conducting(store, redis_server, 10**9), ThreadPoolExecutor(1) as pool:
        answers = pool.submit(ask, session, stand_in.url, asked, Watcher(budget="judge"), endpoint, PAYING)
        try:
            wait_until(lambda: accounts(store) and all(one.closed for one in accounts(store).values()), 30, "the money")
            assert len(stand_in.asked) == 2 and not answers.done()
        finally:
            rival.close(settled=True)
        assert answers.result(30).sent == 3
    assert len(stand_in.asked) == 3
