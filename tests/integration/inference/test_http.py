"""The embedded engine over real HTTP, through the unmodified openai client and huggingface_hub's TGI client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch
from huggingface_hub import InferenceClient
from transformers import AutoModelForCausalLM, AutoTokenizer

MESSAGES: list[Any] = [{"role": "user", "content": "Name a colour."}]
KNOWN: dict[str, Any] = {"model": "tiny", "messages": MESSAGES, "max_tokens": 20, "seed": 5}


@pytest.fixture(scope="module")
def client(engine_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{engine_url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model_folder).eval()


@pytest.fixture(scope="module")
def tokenizer(model_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(model_folder)


def logprobs_of(model: Any, tokens: list[int]) -> torch.Tensor:
    """log p(next token) at each place, [T, V]."""
    with torch.inference_mode():
        return torch.log_softmax(model(torch.tensor([tokens])).logits[0].float(), -1)


def test_the_model_is_listed_and_the_engine_is_healthy(client: openai.OpenAI, engine_url: str) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    assert httpx.get(f"{engine_url}/health").json() == {"status": "ok"}


def test_the_same_seed_gives_the_same_text_and_another_gives_another(client: openai.OpenAI) -> None:
    first, again, other = (
        client.chat.completions.create(**KNOWN | {"seed": seed}).choices[0].message.content for seed in (5, 5, 6)
    )
    assert first == again != other


def test_without_a_seed_texts_differ(client: openai.OpenAI) -> None:
    body = {name: value for name, value in KNOWN.items() if name != "seed"}
    texts = {client.chat.completions.create(**body).choices[0].message.content for _ in range(5)}
    assert len(texts) == 5


def test_usage_counts_the_templates_tokens_and_the_completions(client: openai.OpenAI, tokenizer: Any) -> None:
    answer = client.chat.completions.create(**KNOWN, n=3, extra_body={"return_token_ids": True, "ignore_eos": True})
    rendered = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(tokenizer.encode(rendered, add_special_tokens=False))
    assert answer.usage.completion_tokens == 60
    assert [len(choice.token_ids) for choice in answer.choices] == [20] * 3
    assert [choice.finish_reason for choice in answer.choices] == ["length"] * 3


def test_an_end_token_finishes_with_stop(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**KNOWN | {"max_tokens": 90}, n=50)
    assert {choice.finish_reason for choice in answer.choices} == {"stop", "length"}


def test_a_stop_string_ends_the_text_before_it(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**KNOWN, temperature=0).choices[0].message.content
    assert whole is not None
    stop = whole[5:7]
    cut = client.chat.completions.create(**KNOWN, temperature=0, stop=[stop, "never"]).choices[0]
    assert (cut.message.content, cut.finish_reason) == (whole[: whole.find(stop)], "stop")


@pytest.mark.parametrize("extra", [{}, {"temperature": 0}, {"stop": "e"}, {"n": 3}, {"top_p": 0.5}])
def test_a_stream_adds_up_to_the_whole_answer(client: openai.OpenAI, extra: dict[str, Any]) -> None:
    body = {**KNOWN, **extra}
    whole = client.chat.completions.create(**body)
    texts: dict[int, str] = {}
    finishes: dict[int, str | None] = {}
    usage = None
    for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            finishes[choice.index] = choice.finish_reason or finishes.get(choice.index)
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert finishes == {choice.index: choice.finish_reason for choice in whole.choices}
    assert usage == whole.usage


def test_logprobs_are_the_models_own(client: openai.OpenAI, model: Any, tokenizer: Any) -> None:
    body = {**KNOWN, "extra_body": {"return_token_ids": True}}
    choice = client.chat.completions.create(**body, temperature=0.7, logprobs=True, top_logprobs=4).choices[0]
    rendered = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    prompt = tokenizer.encode(rendered, add_special_tokens=False)
    expected = logprobs_of(model, prompt + choice.token_ids)[len(prompt) - 1 :]
    assert choice.logprobs is not None and choice.logprobs.content is not None
    for at, entry in enumerate(choice.logprobs.content):
        assert entry.logprob == pytest.approx(float(expected[at, choice.token_ids[at]]), abs=1e-4)
        best = expected[at].topk(4).values.tolist()
        assert [option.logprob for option in entry.top_logprobs] == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("as_tokens", [False, True])
def test_echo_scores_a_given_text_as_a_plain_forward_pass_does(
    client: openai.OpenAI, model: Any, tokenizer: Any, as_tokens: bool
) -> None:
    texts = ["The sky is blue.", "Grass", "é🙂"]
    tokens = [tokenizer.encode(text) for text in texts]
    answer = client.completions.create(
        model="tiny", prompt=tokens if as_tokens else texts, max_tokens=0, echo=True, logprobs=2
    )
    for text, own, choice in zip(texts, tokens, answer.choices, strict=True):
        assert choice.text == text
        assert choice.logprobs is not None and choice.logprobs.token_logprobs is not None
        expected = logprobs_of(model, own)
        assert choice.logprobs.token_logprobs[0] is None
        assert choice.logprobs.token_logprobs[1:] == pytest.approx(
            [float(expected[at, token]) for at, token in enumerate(own[1:])], abs=1e-4
        )
        assert choice.logprobs.top_logprobs is not None
        assert all(len(top) <= 2 for top in choice.logprobs.top_logprobs[1:])
    assert answer.usage is not None and answer.usage.completion_tokens == 0


def test_plain_completions_go_on_from_text(client: openai.OpenAI, model: Any, tokenizer: Any) -> None:
    prompt = tokenizer.encode("Once upon")
    expected = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=8, do_sample=False
    )[0, len(prompt) :]
    answer = client.completions.create(model="tiny", prompt="Once upon", max_tokens=8, temperature=0, echo=True)
    assert answer.choices[0].text == "Once upon" + tokenizer.decode(expected, skip_special_tokens=True)
    streamed = client.completions.create(model="tiny", prompt="Once upon", max_tokens=8, temperature=0, stream=True)
    assert "Once upon" + "".join(chunk.choices[0].text for chunk in streamed) == answer.choices[0].text


async def test_many_at_once_get_what_each_gets_alone(engine_url: str) -> None:
    client = openai.AsyncOpenAI(base_url=f"{engine_url}/v1", api_key="none", max_retries=0)

    async def ask(seed: int) -> list[str | None]:
        messages: list[Any] = [{"role": "user", "content": f"Say {'x' * (seed % 30)}"}]
        answer = await client.chat.completions.create(
            model="tiny", messages=messages, seed=seed, n=1 + seed % 2, max_tokens=1 + seed % 25
        )
        return [choice.message.content for choice in answer.choices]

    alone = [await ask(seed) for seed in range(40)]
    assert await asyncio.gather(*map(ask, range(40))) == alone
    await client.close()


def test_hugging_faces_client_is_answered_as_by_tgi(engine_url: str, client: openai.OpenAI) -> None:
    hub = InferenceClient(base_url=f"{engine_url}/v1", api_key="none")
    whole = hub.chat_completion(MESSAGES, model="tiny", max_tokens=20, seed=5, temperature=0.7, logprobs=True)
    ours = client.chat.completions.create(**KNOWN, temperature=0.7)
    assert whole.choices[0].message.content == ours.choices[0].message.content
    assert whole.usage.completion_tokens == (ours.usage.completion_tokens if ours.usage else None)
    streamed = hub.chat_completion(MESSAGES, model="tiny", max_tokens=20, seed=5, temperature=0.7, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices)
    assert text == ours.choices[0].message.content


def test_an_unknown_model_is_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-9' here") as caught:
        client.chat.completions.create(**KNOWN | {"model": "gpt-9"})
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("change", "param"),
    [({"temperature": -1}, "temperature"), ({"presence_penalty": 1}, "presence_penalty"), ({"n": 200}, "n")],
)
def test_bad_parameters_are_400_and_named(client: openai.OpenAI, change: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**KNOWN | change)
    assert caught.value.param == param


def test_a_prompt_that_does_not_fit_is_400_and_says_the_limit(client: openai.OpenAI) -> None:
    long: list[Any] = [{"role": "user", "content": "x" * 150}]
    for change in ({"messages": long}, {"max_tokens": 128}):
        with pytest.raises(openai.BadRequestError, match="context is 128 tokens") as caught:
            client.chat.completions.create(**KNOWN | change)
        assert caught.value.code == "context_length_exceeded"


def test_a_body_that_is_no_json_is_400(engine_url: str) -> None:
    answer = httpx.post(f"{engine_url}/v1/chat/completions", content=b"{")
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]["message"]


def test_tokenize_renders_a_conversation_as_the_tokenizer_does(engine_url: str, tokenizer: Any) -> None:
    both = [*MESSAGES, {"role": "assistant", "content": "Red."}]
    for messages, generate in ((MESSAGES, True), (both, False)):
        body = {"model": "tiny", "messages": messages, "add_generation_prompt": generate}
        answer = httpx.post(f"{engine_url}/tokenize", json=body).json()
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generate)
        assert answer["tokens"] == tokenizer.encode(rendered, add_special_tokens=False)
        assert answer["count"] == len(answer["tokens"])
        assert answer["max_model_len"] == 128
