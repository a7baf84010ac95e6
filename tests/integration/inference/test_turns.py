"""A second turn is sampled with the first one, and the model's own answer to it, in the conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.artifacts import CommitRef
from shared.records import COMPLETIONS, MORE_OF_PROMPTS, PROMPTS, from_rows
from tests.integration.inference.place import SAMPLING, Place

TURNS = [["One?", "Two?"], ["Why so?", "And then?"], ["a + b", "b + c"]]
GREEDY = {**SAMPLING, "temperature": 0.0, "max_tokens": 8}


def prompts_of(place: Place, turns: list[list[str]], columns: bool = True) -> CommitRef:
    rows = [
        {"prompt_id": f"p{at}", "prompt": said[0], "split": "eval", "rank": at, "turns": said}
        for at, said in enumerate(turns)
    ]
    schema = PROMPTS.append(MORE_OF_PROMPTS.field("turns")) if columns else PROMPTS
    return place.commit(f"turns {turns} {columns}", {"prompts.parquet": from_rows(rows, schema)})


def both(place: Place, given: dict[str, Any], prompts: CommitRef, **inputs: CommitRef) -> list[list[dict[str, Any]]]:
    """The rows of both turns."""
    first = place.unit("sample", given, prompts=prompts, **inputs)
    rows = place.rows(first)
    second = place.unit("sample", {**given, "turn": 2}, prompts=prompts, first=place.reference(first), **inputs)
    return [rows, place.rows(second)]


def test_the_greedy_second_answer_is_the_model_s_own_in_the_conversation(place: Place, model_folder: Path) -> None:
    first, second = both(place, GREEDY, prompts_of(place, TURNS), checkpoint=place.checkpoint(model_folder))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(model_folder), AutoTokenizer.from_pretrained(model_folder)
    assert [row["prompt"] for row in second] == [turns[1] for turns in TURNS]
    for one, other in zip(first, second, strict=True):
        said = [("user", one["prompt"]), ("assistant", one["completion"]), ("user", other["prompt"])]
        turns = [{"role": role, "content": text} for role, text in said]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer.encode(text, add_special_tokens=False, return_tensors="pt")
        made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False)
        assert other["completion"] == tokenizer.decode(made[0, prompt.shape[1] :], skip_special_tokens=True)
        assert other["input_tokens"] == prompt.shape[1]


@pytest.mark.parametrize("client", ["tgi", "openai"])
def test_a_running_server_is_sent_the_conversation(
    place: Place, engine_url: str, model_folder: Path, client: str
) -> None:
    prompts = prompts_of(place, TURNS)
    given = GREEDY
    there = both(place, {**given, "engine": {client: engine_url}}, prompts)
    here = both(place, given, prompts, checkpoint=place.checkpoint(model_folder))
    assert there == here


def test_another_turn_draws_other_numbers(place: Place, model_folder: Path) -> None:
    same = [["Say it.", "Say it."]] * 3
    first, second = both(place, SAMPLING, prompts_of(place, same), checkpoint=place.checkpoint(model_folder))
    assert [row["completion"] for row in first] != [row["completion"] for row in second]


@pytest.mark.parametrize(("turns", "columns"), [([["One?"]], True), ([["One?", "Two?"]], False)])
def test_a_prompt_of_one_turn_fails_the_stage_and_says_why(
    place: Place, model_folder: Path, turns: list[list[str]], columns: bool
) -> None:
    first = place.commit("first", {"c.parquet": from_rows([{"prompt_id": "p0", "completion": "1"}], COMPLETIONS)})
    inputs = {"checkpoint": place.checkpoint(model_folder), "prompts": prompts_of(place, turns, columns)}
    marker = place.run(place.unit("sample", {**GREEDY, "turn": 2}, first=first, **inputs))
    assert marker.permanent and "no second turn" in marker.message
