"""The base model of the simulated world: what it sees, what it leaves, what it learns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from packaging.version import Version
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.splits import normalise
from shared.world.pretrain import PretrainSettings
from shared.world.prompts import make_prompts
from shared.world.reward import reward
from shared.world.tasks import gold
from workers.trainer.pretrain import EOS, IGNORED, batches, encode, make_tokenizer, pretrain

SMALL = PretrainSettings(steps=30, mixed_steps=10, width=32, layers=1, batch_size=16, learning_rate=1e-2)
PROMPT = "Sort these numbers : 9 30 10 ="


def quiet(step: int, total: int, loss: float) -> None:
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[tuple[int, int, float]]]:
    out = tmp_path_factory.mktemp("base") / "model"
    seen: list[tuple[int, int, float]] = []
    metrics = pretrain(SMALL, frozenset(), out, 0, lambda *row: seen.append(row))
    return out, metrics, seen


def test_an_excluded_prompt_is_never_seen() -> None:
    settings = PretrainSettings(steps=40, mixed_steps=20)
    drawn = {normalise(prompt) for batch in batches(settings, frozenset(), 0) for prompt, _ in batch}
    excluded = frozenset(sorted(drawn)[::2])
    seen = {normalise(prompt) for batch in batches(settings, excluded, 0) for prompt, _ in batch}
    assert len(drawn) > 2000
    assert len(seen) > 2000
    assert not seen & excluded


def test_answers_are_right_first_and_then_a_teachers() -> None:
    settings = PretrainSettings(steps=40, mixed_steps=20, accuracy=0.25)
    right = [[reward(*example) == 1 for example in batch] for batch in batches(settings, frozenset(), 0)]
    assert all(all(batch) for batch in right[:20])
    mixed = [answer for batch in right[20:] for answer in batch]
    assert abs(sum(mixed) / len(mixed) - 0.25) < 4.5 * math.sqrt(0.25 * 0.75 / len(mixed))


def test_the_folder_is_a_hugging_face_model(trained: tuple[Path, dict[str, Any], Any]) -> None:
    out, metrics, _ = trained
    files = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} <= files
    assert {"generation_config.json", "loss.parquet", "versions.json"} <= files
    assert not any(path.suffix in (".bin", ".pt", ".pkl") for path in out.iterdir())
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert sum(parameter.numel() for parameter in model.parameters()) == metrics["parameters"]
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    # A registry's build for GPUs leaves out of its metadata which it is.
    noted = Version(json.loads((out / "versions.json").read_text())["torch"])
    assert noted.public == Version(torch.__version__).public


def test_progress_and_the_curve_tell_every_step(
    trained: tuple[Path, dict[str, Any], list[tuple[int, int, float]]],
) -> None:
    out, metrics, seen = trained
    assert [(step, total) for step, total, _ in seen] == [(step, 30) for step in range(1, 31)]
    curve = pq.read_table(out / "loss.parquet")
    assert curve["step"].to_pylist() == list(range(1, 31))
    assert curve["loss"].to_pylist() == [loss for _, _, loss in seen]
    assert seen[19][2] < seen[0][2]
    assert metrics["steps"] == 30


def test_one_seed_gives_one_model(trained: tuple[Path, Any, Any], tmp_path: Path) -> None:
    pretrain(SMALL, frozenset(), tmp_path / "again", 0, quiet)
    pretrain(SMALL, frozenset(), tmp_path / "other", 1, quiet)
    first = (trained[0] / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == first
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != first


def test_the_chat_template_gives_the_tokens_of_the_pretraining() -> None:
    tokenizer = make_tokenizer()
    user = {"role": "user", "content": PROMPT}
    turns = [user, {"role": "assistant", "content": gold(PROMPT)}]
    assert tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True) == PROMPT
    assert tokenizer.apply_chat_template(turns, tokenize=False) == f"{PROMPT} {gold(PROMPT)}{EOS}"
    ids, labels = encode([(PROMPT, gold(PROMPT))], tokenizer)
    rendered = tokenizer.apply_chat_template(turns, return_dict=False)
    assert ids[0].tolist() == rendered
    learned = [label for label in labels[0].tolist() if label != IGNORED]
    assert tokenizer.decode(learned) == f"{gold(PROMPT)} {EOS}"


def test_every_prompt_and_answer_is_made_of_known_words() -> None:
    tokenizer = make_tokenizer()
    for prompt in make_prompts(300, 0):
        ids = tokenizer(f"{prompt.text} {gold(prompt.text)}").input_ids
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == f"{prompt.text} {gold(prompt.text)}"
