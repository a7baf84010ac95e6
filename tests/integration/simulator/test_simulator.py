"""The simulator over real HTTP, asked by the unmodified `openai` client."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from shared.templates import parse_verdict, render_pairwise
from shared.templates.defaults import LABEL
from shared.world.critic import prefer
from shared.world.models import CriticSettings, TeacherSettings
from shared.world.names import encode
from shared.world.prompts import make_prompts
from shared.world.tasks import gold
from shared.world.teacher import teach
from tests.integration.simulator.conftest import Start
from tests.waiting import wait_until

PROMPTS = [prompt.text for prompt in make_prompts(20, 0)]
TEACHER = encode(TeacherSettings(accuracy=0.5))
CRITIC = encode(CriticSettings(error_rate=0.1))


@lru_cache
def client(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def ask(url: str, model: str, text: str, **more: Any) -> Any:
    return client(url).chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)


def stats(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/stats").json()
    return answer


def test_a_teacher_answers_as_the_world_says(url: str) -> None:
    answers = [ask(url, TEACHER, prompt).choices[0].message.content for prompt in PROMPTS]
    assert answers == [teach(TeacherSettings(accuracy=0.5), prompt) for prompt in PROMPTS]
    assert any(answer == gold(prompt) for answer, prompt in zip(answers, PROMPTS, strict=True))
    assert any(answer != gold(prompt) for answer, prompt in zip(answers, PROMPTS, strict=True))


def test_a_critic_answers_the_default_template_with_a_verdict(url: str) -> None:
    for prompt in PROMPTS:
        shown = (prompt, gold(prompt), teach(TeacherSettings(accuracy=0), prompt))
        text = ask(url, CRITIC, render_pairwise(*shown)).choices[0].message.content
        assert parse_verdict(text) == prefer(CriticSettings(error_rate=0.1), *shown)


def test_answers_are_shaped_and_counted_as_openai_does(url: str) -> None:
    answer = ask(url, TEACHER, PROMPTS[0], temperature=0.7, seed=3, n=3)
    assert answer.object == "chat.completion"
    assert answer.model == TEACHER
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.prompt_tokens == len(PROMPTS[0].split())
    words = [len(choice.message.content.split()) for choice in answer.choices]
    assert answer.usage.completion_tokens == sum(words)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + sum(words)


def test_the_same_request_has_the_same_answer_and_a_seed_may_change_it(url: str) -> None:
    def words(**more: Any) -> list[str]:
        return [ask(url, TEACHER, prompt, **more).choices[0].message.content for prompt in PROMPTS]

    assert words(seed=1) == words(seed=1)
    assert words(seed=1) != words(seed=2)


def test_an_answer_is_cut_at_max_tokens_and_at_stop(url: str) -> None:
    perfect = encode(TeacherSettings(accuracy=1))
    prompt = "Repeat this list : cat dog cow ="
    short = ask(url, perfect, prompt, max_tokens=2).choices[0]
    assert (short.message.content, short.finish_reason) == ("cat dog", "length")
    whole = ask(url, perfect, prompt, max_tokens=4).choices[0]
    assert (whole.message.content, whole.finish_reason) == ("cat dog cow .", "stop")
    assert ask(url, perfect, prompt, stop=[" cow"]).choices[0].message.content == "cat dog"


@pytest.mark.parametrize("model", ["gpt-4", "teacher?accuracy=0.5&mood=good", "critic?error_rate=2"])
def test_an_unknown_model_is_not_found(url: str, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        ask(url, model, PROMPTS[0])
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        (TEACHER, "Who are you?", "no prompt of the simulated world"),
        (CRITIC, "Which is better?", "default templates"),
        (CRITIC, render_pairwise("Who are you?", "a", "b"), "no prompt of the simulated world"),
    ],
)
def test_what_cannot_be_answered_truly_is_refused(url: str, model: str, text: str, words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        ask(url, model, text)


@pytest.mark.parametrize("more", [{"n": 0}, {"n": 1000}, {"max_tokens": 0}, {"logprobs": True}, {"stop": [""]}])
def test_a_parameter_that_it_cannot_honour_is_refused(url: str, more: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(url, TEACHER, PROMPTS[0], **more)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"model": 3}', json.dumps({"model": TEACHER, "messages": []}).encode()]
)
def test_a_broken_body_is_a_bad_request(url: str, body: bytes) -> None:
    answer = httpx.post(f"{url}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_too_large_is_refused(url: str) -> None:
    assert httpx.post(f"{url}/v1/chat/completions", content=b"x" * (5 * 1024 * 1024)).status_code == 413


def test_text_in_parts_is_text(url: str) -> None:
    parts: Any = [{"type": "text", "text": PROMPTS[0]}]
    assert ask(url, TEACHER, parts).choices == ask(url, TEACHER, PROMPTS[0]).choices


def test_a_wrong_key_is_unauthorised(start: Start) -> None:
    guarded = start("--api-key", "right")
    create = {"model": TEACHER, "messages": [{"role": "user", "content": PROMPTS[0]}]}
    assert client(guarded, "right").chat.completions.create(**create).choices  # type: ignore[call-overload]
    assert client(guarded, "right").models.list().data
    with pytest.raises(openai.AuthenticationError) as raised:
        client(guarded, "wrong").chat.completions.create(**create)  # type: ignore[call-overload]
    assert raised.value.code == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        client(guarded, "wrong").models.list()
    assert httpx.get(f"{guarded}/healthz").status_code == 200


def test_models_that_are_listed_answer(url: str) -> None:
    listed = [model.id for model in client(url).models.list()]
    assert {name.partition("?")[0] for name in listed} == {"teacher", "critic", "judge"}
    assert ask(url, listed[0], PROMPTS[0]).model == listed[0]


def test_stats_count_requests_and_repeats(fresh: str) -> None:
    for prompt in [*PROMPTS[:3], PROMPTS[0], PROMPTS[0]]:
        ask(fresh, TEACHER, prompt)
    with pytest.raises(openai.NotFoundError):
        ask(fresh, "gpt-4", PROMPTS[0])
    seen = stats(fresh)
    assert (seen["requests"], seen["answered"], seen["refused"], seen["distinct"]) == (6, 5, 1, 3)
    assert seen["max_repeats"] == 3
    assert sorted(seen["counts"].values()) == [1, 1, 3]
    httpx.post(f"{fresh}/stats/reset").raise_for_status()
    assert stats(fresh)["requests"] == stats(fresh)["max_repeats"] == 0


def test_the_log_says_when_each_answer_was_written_and_what_was_abandoned(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "arrivals.jsonl"
    slow = start("--log", str(log), "--latency-ms", "300")
    before = time.time()
    ask(slow, TEACHER, PROMPTS[0])
    with pytest.raises(openai.APITimeoutError):
        ask(slow, TEACHER, PROMPTS[1], timeout=0.1)
    wait_until(lambda: stats(slow)["abandoned"] == 1, 5, "the abandoned request to be counted")
    answered, abandoned = (json.loads(line) for line in log.read_text().splitlines())
    assert before <= answered["arrived"] <= answered["answered"] - 0.29
    assert answered["model"] == TEACHER
    assert answered["status"] == 200
    assert abandoned["answered"] is None
    assert set(stats(slow)["counts"]) == {answered["hash"], abandoned["hash"]}


def test_it_does_without_torch() -> None:
    code = "import sys, services.simulator.__main__; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_critic_s_label_comes_with_its_probability_where_nothing_else_is_asked_for(url: str) -> None:
    values = {"prompt": "Repeat this list : cat dog cow =", "answer_a": "cat dog cow .", "answer_b": "dog ."}
    choice = ask(url, CRITIC, LABEL.render(values), logprobs=True, top_logprobs=5).choices[0]
    assert choice.logprobs is not None and choice.logprobs.content is not None
    (token,) = choice.logprobs.content
    assert token.token == choice.message.content
    assert sum(math.exp(top.logprob) for top in token.top_logprobs) == pytest.approx(1.0)
    with pytest.raises(openai.BadRequestError, match="label alone"):
        ask(url, CRITIC, render_pairwise(*values.values()), logprobs=True)
