"""Sampling and scoring as stages: what they write, and that nothing but seed, prompt and checkpoint matters."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.artifacts import CommitRef
from shared.chat_templates import CHAT_TEMPLATES
from shared.models import add_model
from shared.records import COMPLETIONS, LIKELIHOODS
from shared.units import Shard
from tests.integration.inference.place import SAMPLING, Place


@pytest.fixture
def checkpoint(place: Place, model_folder: Path) -> CommitRef:
    return place.checkpoint(model_folder)


def test_samples_are_written_by_rank_with_their_counts(place: Place, checkpoint: CommitRef) -> None:
    unit = place.unit("sample", {**SAMPLING, "n": 2}, checkpoint=checkpoint, prompts=place.prompts(30))
    artifact = place.done(unit)
    table = artifact.rows()
    assert table.schema.equals(COMPLETIONS)
    rows = table.to_pylist()
    assert [(row["prompt_id"], row["sample_index"]) for row in rows] == [
        (f"p{rank}", index) for rank in range(30) for index in range(2)
    ]
    metrics = artifact.manifest.metrics
    assert (metrics["prompts"], metrics["completions"]) == (30, 60)
    assert metrics["output_tokens"] == sum(row["output_tokens"] for row in rows)
    assert metrics["input_tokens"] == sum(row["input_tokens"] for row in rows) > 0
    assert metrics["truncated"] == sum(row["finish_reason"] == "length" for row in rows) > 0
    assert metrics["empty"] == sum(not row["completion"].strip() for row in rows)
    assert all(row["output_tokens"] == 12 for row in rows if row["finish_reason"] == "length")
    assert artifact.manifest.cost.device_seconds > 0


def test_a_shard_and_another_concurrency_give_the_same_texts(place: Place, checkpoint: CommitRef) -> None:
    prompts = place.prompts(24)
    unit = place.unit("sample", SAMPLING, checkpoint=checkpoint, prompts=prompts)
    whole = place.rows(unit)
    place.settings.request_concurrency = 3
    shard = unit.model_copy(update={"shard": Shard(start=5, stop=11)})
    assert place.rows(shard) == whole[5:11]
    other = place.rows(place.unit("sample", {**SAMPLING, "seed": 1}, checkpoint=checkpoint, prompts=prompts))
    assert [row["completion"] for row in other] != [row["completion"] for row in whole]


def test_fractions_take_the_train_prompts_by_rank(place: Place, checkpoint: CommitRef) -> None:
    params = {**SAMPLING, "split": "train", "start": 0.25, "stop": 1.0}
    unit = place.unit("sample", params, checkpoint=checkpoint, prompts=place.prompts(20, "train"))
    assert [row["prompt_id"] for row in place.rows(unit)] == [f"p{rank}" for rank in range(5, 20)]


def test_temperature_zero_is_the_models_greedy_completion(
    place: Place, checkpoint: CommitRef, model_folder: Path
) -> None:
    unit = place.unit("sample", {**SAMPLING, "temperature": 0.0}, checkpoint=checkpoint, prompts=place.prompts(4))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(model_folder), AutoTokenizer.from_pretrained(model_folder)
    for row in place.rows(unit):
        turn = [{"role": "user", "content": row["prompt"]}]
        text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer.encode(text, add_special_tokens=False, return_tensors="pt")
        made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False)
        assert row["completion"] == tokenizer.decode(made[0, prompt.shape[1] :], skip_special_tokens=True)
        assert row["input_tokens"] == prompt.shape[1]


def test_an_uploaded_model_without_a_template_takes_the_named_one(place: Place, other_folder: Path) -> None:
    sha256 = add_model(place.store, "other", other_folder)
    params = {**SAMPLING, "model": {"uploaded": sha256}, "chat_template": "human_assistant", "dtype": "bfloat16"}
    rows = place.rows(place.unit("sample", params, prompts=place.prompts(2)))
    assert all(row["input_tokens"] == len(f"\n\nHuman: {row['prompt']}\n\nAssistant:") for row in rows)


def test_a_model_without_a_template_says_what_to_write(place: Place, other_folder: Path) -> None:
    sha256 = add_model(place.store, "other", other_folder)
    marker = place.run(place.unit("sample", {**SAMPLING, "model": {"uploaded": sha256}}, prompts=place.prompts(2)))
    assert (marker.outcome, marker.permanent) == ("error", True)
    assert "no chat template" in marker.message


def test_a_prompt_longer_than_the_context_fails_the_stage_at_once(place: Place, checkpoint: CommitRef) -> None:
    unit = place.unit("sample", {**SAMPLING, "max_tokens": 200}, checkpoint=checkpoint, prompts=place.prompts(2))
    marker = place.run(unit)
    assert marker.permanent
    assert "context is 128 tokens" in marker.message


def test_a_prompt_that_alone_is_too_long_is_left_out_and_counted(place: Place, checkpoint: CommitRef) -> None:
    prompts = place.commit_prompts([("short", "Why?"), ("long", "x" * 130)])
    artifact = place.done(place.unit("sample", SAMPLING, checkpoint=checkpoint, prompts=prompts))
    assert [row["prompt_id"] for row in artifact.rows().to_pylist()] == ["short"]
    assert artifact.manifest.metrics["too_long"] == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"engine": "abacus"}, "Use one of: embedded"),
        ({"chat_template": "nonsense"}, "is unknown"),
        ({"dtype": "int4"}, "Use one of: float32, bfloat16"),
    ],
)
def test_bad_params_fail_the_stage_at_once_and_say_what_is_right(
    place: Place, checkpoint: CommitRef, params: dict[str, Any], message: str
) -> None:
    marker = place.run(place.unit("sample", {**SAMPLING, **params}, checkpoint=checkpoint, prompts=place.prompts(1)))
    assert marker.permanent
    assert message in marker.message


PAIRS = [
    {"prompt_id": "a", "prompt": "Why?", "completion_a": "Because.", "completion_b": "No idea, é"},
    {"prompt_id": "a", "prompt": "Why?", "completion_a": "", "completion_b": "x" * 60},
]


def direct_score(folder: Path, row: dict[str, Any], completion: str, max_length: int | None) -> tuple[float, int]:
    """As TRL tokenises a conversational row: what follows the prompt's tokens is the completion."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    user, assistant = {"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": completion}
    prompt = tokenizer.apply_chat_template([user], tokenize=True, add_generation_prompt=True)["input_ids"]
    whole = tokenizer.apply_chat_template([user, assistant], tokenize=True)["input_ids"][:max_length]
    with torch.inference_mode():
        logprobs = torch.log_softmax(model(torch.tensor([whole])).logits[0].float(), -1)
    places = range(len(prompt), len(whole))
    return math.fsum(float(logprobs[at - 1, whole[at]]) for at in places), len(places)


@pytest.mark.parametrize("max_length", [None, 40])
def test_both_completions_of_pairs_are_scored_as_training_sees_them(
    place: Place, checkpoint: CommitRef, model_folder: Path, max_length: int | None
) -> None:
    unit = place.unit("score", {"max_length": max_length}, checkpoint=checkpoint, preferences=place.preferences(PAIRS))
    artifact = place.done(unit)
    table = artifact.rows()
    assert table.schema.equals(LIKELIHOODS)
    rows = table.to_pylist()
    assert [(row["row"], row["which"]) for row in rows] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    for row in rows:
        pair = PAIRS[row["row"]]
        logprob, tokens = direct_score(model_folder, pair, pair[f"completion_{row['which']}"], max_length)
        assert row["logprob"] == pytest.approx(logprob, abs=1e-3)
        assert row["tokens"] == tokens
    assert artifact.manifest.metrics["truncated"] == (0 if max_length is None else 1)


def test_demonstrations_are_scored_with_their_end_token(
    place: Place, checkpoint: CommitRef, model_folder: Path
) -> None:
    demonstration = {"prompt_id": "d", "sample_index": 0, "prompt": "Hello", "completion": "Hi!"}
    unit = place.unit("score", {}, checkpoint=checkpoint, demonstrations=place.demonstrations([demonstration]))
    (row,) = place.rows(unit)
    logprob, tokens = direct_score(model_folder, demonstration, "Hi!", None)
    assert tokens == len("Hi!") + 1
    assert (row["prompt_id"], row["which"], row["tokens"]) == ("d", "completion", tokens)
    assert row["logprob"] == pytest.approx(logprob, abs=1e-3)


def test_a_prompt_that_fills_max_length_leaves_nothing_to_score(place: Place, checkpoint: CommitRef) -> None:
    unit = place.unit("score", {"max_length": 8}, checkpoint=checkpoint, preferences=place.preferences(PAIRS[:1]))
    artifact = place.done(unit)
    assert [(row["tokens"], row["logprob"]) for row in artifact.rows().to_pylist()] == [(0, 0.0)] * 2
    assert artifact.manifest.metrics["truncated"] == 2


def test_the_named_templates_end_the_assistants_turn_within_what_is_scored(
    place: Place, checkpoint: CommitRef, model_folder: Path
) -> None:
    demonstration = {"prompt_id": "d", "sample_index": 0, "prompt": "Hello", "completion": "Hi!"}
    given = place.demonstrations([demonstration])
    unit = place.unit("score", {"chat_template": "human_assistant"}, checkpoint=checkpoint, demonstrations=given)
    (row,) = place.rows(unit)
    assert "eos_token" in CHAT_TEMPLATES["human_assistant"]
    assert row["tokens"] == len(" Hi!") + 1
