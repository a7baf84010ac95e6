"""The stand-in's faults over real HTTP, as the unmodified `openai` and `anthropic` clients meet them."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from shared.templates import render_pairwise
from shared.world.models import CriticSettings, TeacherSettings
from shared.world.names import encode
from shared.world.prompts import make_prompts
from tests.integration.simulator.conftest import Start
from tests.provider import Provider

PROMPTS = [prompt.text for prompt in make_prompts(40, 0)]
TEACHER = encode(TeacherSettings(accuracy=0.5))
CRITIC = encode(CriticSettings(error_rate=0.2))


@pytest.fixture(scope="module")
def provider(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Provider:
    log = tmp_path_factory.mktemp("provider") / "log.jsonl"
    return Provider(start("--faults", "{}", "--log", str(log)))


@pytest.fixture
def fresh(provider: Provider) -> Provider:
    provider.behave()
    provider.forget()
    return provider


def client(provider: Provider) -> openai.OpenAI:
    return openai.OpenAI(base_url=provider.base_url, api_key="key", max_retries=0, timeout=20)


def ask(provider: Provider, text: str = PROMPTS[0], model: str = TEACHER, **more: Any) -> Any:
    with client(provider) as made:
        return made.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def test_without_faults_it_answers_as_the_simulator(fresh: Provider, url: str) -> None:
    assert ask(fresh).choices == ask(Provider(url)).choices
    assert ask(fresh).usage == ask(Provider(url)).usage


def test_limits_may_be_kept_without_a_word_of_them(fresh: Provider) -> None:
    fresh.set(requests_per_minute=1, limit_headers=False)
    with client(fresh) as made:
        raw = made.chat.completions.with_raw_response
        headers = raw.create(model=TEACHER, messages=[{"role": "user", "content": PROMPTS[0]}]).headers
    with pytest.raises(openai.RateLimitError) as raised:
        ask(fresh)
    assert not [name for name in (*headers, *raised.value.response.headers) if "ratelimit" in name or "retry" in name]


def test_an_answer_may_be_longer_than_was_asked_for(fresh: Provider) -> None:
    fresh.set(output_tokens=[500, 500])
    assert ask(fresh, max_tokens=10).usage.completion_tokens == 10
    fresh.set(heed_max_tokens=False)
    assert ask(fresh, max_tokens=10).usage.completion_tokens == 500


def test_a_limit_says_in_openais_words_and_headers_when_to_come_again(fresh: Provider) -> None:
    fresh.set(requests_per_minute=3, tokens_per_minute=1000)
    with client(fresh) as made:
        raw = made.chat.completions.with_raw_response
        headers = raw.create(model=TEACHER, messages=[{"role": "user", "content": PROMPTS[0]}]).headers
    used = ask(fresh).usage.total_tokens
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("3", "2")
    assert headers["x-ratelimit-remaining-tokens"] == str(1000 - used)
    ask(fresh)
    with pytest.raises(openai.RateLimitError) as raised:
        ask(fresh)
    error, headers = raised.value, raised.value.response.headers
    assert (error.code, error.type) == ("rate_limit_exceeded", "requests")
    assert "on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in " in error.message
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    wait = int(headers["retry-after-ms"])
    assert 50_000 < wait <= 60_000
    assert int(headers["retry-after"]) == math.ceil(wait / 1000)
    seen = fresh.stats()
    assert seen["most_in_a_minute"] == {
        "requests": 4,
        "tokens": 4 * used,
        "admitted_requests": 3,
        "admitted_tokens": 3 * used,
    }
    assert (seen["answered"], seen["refused"]) == (3, 1)


def test_limits_belong_to_a_key_and_a_model(fresh: Provider) -> None:
    fresh.set(requests_per_minute=1)
    ask(fresh)
    other = encode(TeacherSettings(accuracy=0.4))
    assert ask(fresh, model=other).choices
    with pytest.raises(openai.RateLimitError):
        ask(fresh, model=other)


def test_concurrency_is_seen_and_may_be_limited(fresh: Provider) -> None:
    def status(text: str) -> int:
        try:
            return 200 if ask(fresh, text).choices else 0
        except openai.APIStatusError as error:
            return error.status_code

    with ThreadPoolExecutor(4) as pool:
        fresh.set(latency_ms=500)
        assert list(pool.map(status, PROMPTS[:4])) == [200] * 4
        assert 2 <= fresh.stats()["most_at_once"] <= 4
        fresh.set(concurrency=1)
        assert sorted(pool.map(status, PROMPTS[:2])) == [200, 429]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("overloaded", openai.InternalServerError),
        ("drop_before", openai.APIConnectionError),
        ("drop_during", openai.APIConnectionError),
        ("truncated_json", json.JSONDecodeError),
    ],
)
def test_each_fault_reaches_the_client_and_only_the_first_time_if_so_told(
    fresh: Provider, fault: str, error: type[Exception]
) -> None:
    fresh.set(**{f"rate_{fault}": 1.0, "attempts": 1})
    with pytest.raises(error):
        ask(fresh)
    assert ask(fresh).choices
    seen = fresh.stats()
    asked = 1 if fault in {"429", "500", "overloaded"} else 2
    assert (seen["max_repeats"], seen["asked_again"]) == (asked, 0)
    assert seen["bill"]["arrived"]["answers"] == asked
    assert seen["bill"]["written"]["answers"] == 1
    ask(fresh)
    assert fresh.stats()["asked_again"] == 1


def test_a_storm_refuses_everything_until_it_is_over(fresh: Provider) -> None:
    fresh.set(storm_s=0.3, retry_after_s=0.25)
    before = time.monotonic()
    with pytest.raises(openai.RateLimitError) as raised:
        ask(fresh)
    assert raised.value.response.headers["retry-after-ms"] == "250"
    with openai.OpenAI(base_url=fresh.base_url, api_key="key", max_retries=5) as made:
        made.chat.completions.create(model=TEACHER, messages=[{"role": "user", "content": PROMPTS[0]}])
    assert time.monotonic() - before > 0.2


def test_a_body_may_be_slow(fresh: Provider) -> None:
    fresh.set(rate_slow_body=1, slow_body_s=0.4)
    before = time.monotonic()
    assert ask(fresh).choices
    assert time.monotonic() - before > 0.35
    assert ask(fresh, timeout=0.2).choices, "each piece is in time"
    fresh.set(rate_slow_body=0, latency_ms=2000)
    with pytest.raises(openai.APITimeoutError):
        ask(fresh, timeout=0.2)


@pytest.mark.parametrize(
    ("fault", "reason"), [("refusal", "stop"), ("content_filter", "content_filter"), ("length", "length")]
)
def test_answers_that_are_none(fresh: Provider, fault: str, reason: str) -> None:
    fresh.set(**{f"rate_{fault}": 1.0})
    choice = ask(fresh).choices[0]
    assert choice.finish_reason == reason
    assert (choice.message.refusal is not None) == (fault == "refusal")
    assert choice.message.content is None if fault == "refusal" else choice.message.content is not None


def test_log_probabilities_of_a_verdict_where_the_endpoint_gives_them(fresh: Provider) -> None:
    shown = render_pairwise("Repeat this list : cat dog cow =", "cat dog cow .", "dog .")
    with pytest.raises(openai.BadRequestError, match="logprobs"):
        ask(fresh, shown, CRITIC, logprobs=True, top_logprobs=5)
    fresh.set(logprobs=True)
    for more in ({}, {"max_tokens": 1}):
        choice = ask(fresh, shown, CRITIC, logprobs=True, top_logprobs=5, **more).choices[0]
        last = choice.logprobs.content[-1]
        assert last.token.strip() == "A"
        chances = {top.token.strip(): math.exp(top.logprob) for top in last.top_logprobs}
        assert chances == pytest.approx({"A": 0.8, "B": 0.18, "tie": 0.02})
        assert "".join(token.token for token in choice.logprobs.content).split() == choice.message.content.split()
    assert len(choice.logprobs.content) == 1


def test_the_bill_is_exact(fresh: Provider) -> None:
    fresh.set(
        prices={"input": 3.0, "cached_input": 0.3, "output": 12.0},
        input_tokens=[100, 200],
        output_tokens=[10, 400],
        cached_share=0.5,
    )
    usd = 0.0
    for prompt in PROMPTS[:10]:
        usage = ask(fresh, prompt, max_tokens=50).usage
        assert 100 <= usage.prompt_tokens <= 200
        assert 10 <= usage.completion_tokens <= 50
        cached = usage.prompt_tokens_details.cached_tokens
        usd += (usage.prompt_tokens - cached) * 3.0 + cached * 0.3 + usage.completion_tokens * 12.0
    bill = fresh.stats()["bill"]
    assert bill["usd"] == bill["arrived"]["usd"] == pytest.approx(usd / 1e6)
    fresh.set(rate_no_usage=1.0)
    assert ask(fresh).usage is None


def test_faults_that_cannot_be_are_refused(fresh: Provider) -> None:
    for body in ({"rate_500": 2}, {"mood": "bad"}, {"requests_per_minute": 0}):
        answer = httpx.post(f"{fresh.url}/faults", json=body)
        assert answer.status_code == 400
        assert next(iter(body)) in answer.text


def test_the_log_has_what_was_broken_off_as_unanswered(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    provider = Provider(start("--faults", '{"rate_drop_during": 1.0, "attempts": 1}', "--log", str(log)))
    with pytest.raises(openai.APIConnectionError):
        ask(provider)
    ask(provider)
    broken, whole = (json.loads(line) for line in log.read_text().splitlines())
    assert broken["hash"] == whole["hash"]
    assert (broken["answered"], broken["status"]) == (None, 200)
    assert whole["answered"] >= whole["arrived"]


def test_anthropics_client_is_answered_in_its_own_shape(fresh: Provider) -> None:
    anthropic = pytest.importorskip("anthropic")
    fresh.set(cached_share=0.5)

    def say(**more: Any) -> Any:
        turns = [{"role": "user", "content": PROMPTS[0]}]
        return made.messages.create(model=TEACHER, messages=turns, **{"max_tokens": 50, **more})

    with anthropic.Anthropic(base_url=fresh.url, api_key="key", max_retries=0) as made:
        same, message = ask(fresh, max_tokens=50), say()
        assert message.content[0].text == same.choices[0].message.content
        assert message.stop_reason == "end_turn"
        usage = message.usage
        assert usage.input_tokens + usage.cache_read_input_tokens == same.usage.prompt_tokens
        assert usage.output_tokens == same.usage.completion_tokens
        assert say(max_tokens=1).stop_reason == "max_tokens"
        assert say(system="Be brief.").content
        with pytest.raises(anthropic.NotFoundError):
            made.messages.create(model="claude-9", messages=[{"role": "user", "content": "x"}], max_tokens=5)
        fresh.set(rate_refusal=1.0)
        assert say().stop_reason == "refusal"
        fresh.set(rate_overloaded=1.0)
        with pytest.raises(anthropic.APIStatusError) as raised:
            say()
        assert (raised.value.status_code, raised.value.body["error"]["type"]) == (529, "overloaded_error")
        fresh.set(rate_overloaded=0.0, rate_429=1.0, requests_per_minute=100)
        with pytest.raises(anthropic.RateLimitError) as limited:
            say()
        headers = limited.value.response.headers
        assert headers["anthropic-ratelimit-requests-limit"] == "100"
        assert headers["retry-after"] == "1"
    assert fresh.stats()["max_repeats"] == 3


def test_a_key_is_asked_for_in_either_way(start: Start) -> None:
    provider = Provider(start("--faults", "{}", "--api-key", "right"))
    body = {"model": TEACHER, "max_tokens": 5, "messages": [{"role": "user", "content": PROMPTS[0]}]}
    version = {"anthropic-version": "2023-06-01"}
    url = f"{provider.base_url}/messages"
    assert httpx.post(url, json=body, headers={"x-api-key": "right", **version}).status_code == 200
    wrong = httpx.post(url, json=body, headers={"x-api-key": "wrong", **version})
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "authentication_error")
    assert httpx.post(url, json=body, headers={"x-api-key": "right"}).status_code == 400
    with pytest.raises(openai.AuthenticationError):
        ask(provider)
