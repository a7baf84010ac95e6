"""Resolution: names pinned to content, and data that does not cover the spec refused before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.datasets import add_dataset
from shared.errors import BadInput
from shared.resolve import Resolved, resolve
from shared.settings import Settings
from shared.specparse import parse_spec
from shared.store import MemoryStore
from tests.unit.specs import spec_with

WORDS = ["stone", "river", "lamp", "cloud", "tiger", "brush", "candle", "window", "garden", "violet"]
PROMPTS = [{"prompt_id": f"p{n}", "prompt": f"{WORDS[n % 10]} {n * 7919} {WORDS[n // 10]} {n * 31}"} for n in range(60)]
Write = Callable[[str, list[dict[str, Any]]], None]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def write(store: MemoryStore, tmp_path: Path) -> Write:
    def add(name: str, rows: list[dict[str, Any]]) -> None:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        add_dataset(store, name, path)

    return add


def completions(rows: list[dict[str, Any]] = PROMPTS, **special: str) -> list[dict[str, Any]]:
    return [{"prompt_id": row["prompt_id"], "completion": special.get(row["prompt_id"], "words")} for row in rows]


def spec(**changes: Any) -> dict[str, Any]:
    recorded = {"provider": "recorded", "completions": "dataset:weak"}
    prompts = {"source": "dataset:prompts", "train": 40, "dev": 5, "eval": 10}
    return spec_with(**{"models__weak": recorded, "prompts": prompts, **changes})


def resolved(store: MemoryStore, **changes: Any) -> Resolved:
    return resolve(parse_spec(spec(**changes)), store, Settings())


def test_datasets_are_pinned_and_counted(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    found = resolved(store)
    assert set(found.datasets) == {"prompts", "weak"}
    assert found.spec["models"]["weak"]["pinned"] == found.datasets["weak"]
    assert found.counts == {"train": 40, "dev": 5, "eval": 10, "near_duplicates": 0}


def test_a_later_upload_under_the_same_name_changes_the_pin(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    before = resolved(store).datasets["weak"]
    write("weak", completions(p1="other words"))
    assert resolved(store).datasets["weak"] != before


def refused(store: MemoryStore, **changes: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        resolved(store, **changes)
    return caught.value


def test_an_unknown_dataset_says_how_to_add_it(store: MemoryStore, write: Write) -> None:
    write("weak", completions())
    error = refused(store)
    assert error.field == "prompts.source"
    assert "touchstone dataset add" in error.fix


def test_a_dataset_of_the_wrong_kind(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", PROMPTS)
    assert "completions are needed" in refused(store).problem


def test_more_prompts_than_there_are(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    assert "the source has 60" in refused(store, prompts__train=50).problem


def test_a_missing_completion_unless_it_may_be_dropped(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions(PROMPTS[:50]))
    error = refused(store)
    assert error.field == "models.weak.completions"
    assert "missing: drop" in error.fix
    assert resolved(store, models__weak__missing="drop").counts["train"] == 40


def test_an_empty_demonstration_is_refused_and_an_empty_reference_is_not(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    splits = {row.prompt_id: row.split for row in prompts_of(store)}
    train, held = (next(key for key, split in splits.items() if split == wanted) for wanted in ("train", "eval"))
    write("weak", completions(PROMPTS, **{train: ""}))
    assert train in refused(store).problem
    write("weak", completions(PROMPTS, **{held: ""}))
    assert resolved(store).counts["eval"] == 10


def prompts_of(store: MemoryStore) -> Any:
    from shared.resolve import prompt_splits

    pins = resolved(store).datasets
    return prompt_splits(parse_spec(spec()), pins, store).prompts


def test_recorded_labels_must_cover_the_rl_prompts(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    pair = {"completion_a": "x", "completion_b": "y", "preference": 1.0}
    labels = {"provider": "recorded", "preferences": "dataset:labels"}
    changes: dict[str, Any] = {"models__labels": labels}
    for arm in ("rlaif-weak", "rlaif-strong"):
        changes[f"arms__{arm}__rl"] = {"critic": "labels", "pairs": "recorded"}
    write("labels", [{"prompt_id": "elsewhere", **pair}])
    assert "none of the prompts" in refused(store, **changes).problem
    write("labels", [{"prompt_id": row["prompt_id"], **pair} for row in PROMPTS[:30]])
    assert refused(store, **changes).field == "models.labels.preferences"
    assert resolved(store, **changes, models__labels__missing="drop").counts["train"] == 40


def test_an_uploaded_base_model_must_be_there(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    error = refused(store, policies__toy={"model": "model:absent"})
    assert error.field == "policies.toy.model"
    assert "touchstone model add" in error.fix


def test_a_credential_that_the_operator_does_not_list_is_refused(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    endpoint = {"provider": "openai", "model": "gpt-4", "api_key": "env:HOME"}
    assert refused(store, models__weak=endpoint).field == "models.weak.api_key"
