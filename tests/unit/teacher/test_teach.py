"""Recorded teachers, empty demonstrations and the prompts' splits."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from services.teacher.prompts import splits_of
from services.teacher.teach import recorded, refuse_empty
from shared.datasets import add_dataset
from shared.errors import BadInput, PermanentError
from shared.llm.chat import user_request
from shared.store import MemoryStore

ROWS = [{"prompt_id": name, "prompt": f"Say {name}."} for name in ("a", "b", "c")]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def model(store: MemoryStore, completions: dict[str, str], missing: str = "error") -> dict[str, Any]:
    table = pa.table({"prompt_id": list(completions), "completion": list(completions.values())})
    return {"provider": "recorded", "dataset": add_dataset(store, "teacher", table), "missing": missing}


def test_recorded_completions_are_found_by_prompt(store: MemoryStore) -> None:
    rows = recorded(store, model(store, {"c": "C", "a": "A", "b": "B", "z": "Z"}), ROWS, "gpt-3.5")
    assert [(row["prompt_id"], row["prompt"], row["completion"]) for row in rows] == [
        ("a", "Say a.", "A"),
        ("b", "Say b.", "B"),
        ("c", "Say c.", "C"),
    ]


def test_a_missing_completion_is_named_unless_it_may_be_dropped(store: MemoryStore) -> None:
    with pytest.raises(PermanentError, match=r"models\.gpt-3\.5\.completions.*\(b …\).*missing: drop"):
        recorded(store, model(store, {"a": "A", "c": "C"}), ROWS, "gpt-3.5")
    rows = recorded(store, model(store, {"a": "A", "c": "C"}, "drop"), ROWS, "gpt-3.5")
    assert [row["prompt_id"] for row in rows] == ["a", "c"]


def test_an_empty_demonstration_is_named() -> None:
    refuse_empty([{"prompt_id": "a", "completion": "x"}], "gpt-4")
    with pytest.raises(PermanentError, match=r"models\.gpt-4.*prompt b is empty \(1 such\)"):
        refuse_empty([{"prompt_id": "a", "completion": "x"}, {"prompt_id": "b", "completion": " \n"}], "gpt-4")


def test_the_simulated_worlds_prompts_fill_the_splits_disjointly(store: MemoryStore) -> None:
    params = {"train": 30, "dev": 10, "eval": 20, "source": {"world": {"seed": 3, "count": 100}}}
    splits = splits_of(store, params)
    assert {name: splits.count(name) for name in ("train", "dev", "eval")} == {"train": 30, "dev": 10, "eval": 20}
    assert len({prompt.prompt_id for prompt in splits.prompts}) == 60
    with pytest.raises(BadInput, match="61 prompts are asked for"):
        splits_of(store, {**params, "train": 31, "source": {"world": {"seed": 3, "count": 60}}})


def test_a_datasets_prompts_are_split_too(store: MemoryStore) -> None:
    texts = ["Name a bird.", "Add two numbers.", "Write a poem about rain.", "Explain gravity to a child."]
    sha256 = add_dataset(store, "p", pa.table({"prompt_id": list("abcd"), "prompt": texts}))
    splits = splits_of(store, {"train": 2, "dev": 1, "eval": 1, "source": {"dataset": sha256}})
    assert {prompt.prompt_id: prompt.prompt for prompt in splits.prompts} == dict(zip("abcd", texts, strict=True))


def test_a_request_carries_the_models_system_prompt_and_sampling() -> None:
    identity = {"provider": "openai", "system": "Be brief.", "sampling": {"top_p": 0.5, "max_tokens": 9}}
    request = user_request(identity, "Hi", temperature=0.0)
    assert [message["role"] for message in request.messages] == ["system", "user"]
    assert (request.temperature, request.top_p, request.max_tokens) == (0.0, 0.5, 9)
    assert user_request({**identity, "sampling": {"temperature": 1.0}}, "Hi", temperature=0.0).temperature == 1.0
    assert user_request({"provider": "simulated"}, "Hi", temperature=0.0).temperature is None
