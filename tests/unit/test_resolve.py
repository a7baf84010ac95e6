"""Resolution: names pinned to content, and data that does not cover the spec refused before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest

from shared.datasets import add_dataset, find_dataset
from shared.errors import BadInput, Outage
from shared.models import add_model
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved, prompt_splits, resolve
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


def test_a_reward_model_is_pinned_to_its_content(store: MemoryStore, write: Write, tmp_path: Path) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    critic = {"provider": "reward_model", "model": "model:tiny"}
    error = refused(store, models__critic=critic)
    assert error.field == "models.critic.model" and "touchstone model add tiny" in error.fix
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text(name)
    sha256 = add_model(store, "tiny", folder)
    found = resolved(store, models__critic=critic)
    assert found.spec["models"]["critic"]["pinned"] == {"uploaded": sha256}
    rewards = [stage for stage in plan(found).stages.values() if stage.kind == "reward"]
    assert rewards and all(stage.params["model"] == {"uploaded": sha256} for stage in rewards)


def test_right_answers_must_cover_what_is_checked(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    critic = {"provider": "verifiable", "check": "exact", "answers": "dataset:gold"}
    assert refused(store, models__critic=critic).field == "models.critic.answers"
    write("gold", completions())
    assert resolved(store, models__critic=critic).spec["models"]["critic"]["pinned"]
    write("gold", completions(PROMPTS[:50]))
    error = refused(store, models__critic=critic)
    assert error.field == "models.critic.answers" and "missing: drop" in error.fix
    both = {"provider": "ensemble", "members": ["critic", "checked"]}
    given = {"models__both": both, "models__checked": critic, "evaluations__win-rate__judge": "both"}
    assert refused(store, **given).field == "models.checked.answers"
    assert resolved(store, models__critic=critic | {"missing": "drop"})


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
    from shared.spec.resolve import prompt_splits

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


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../../etc", "https://hub.example/a/b", "model:../../etc", "model:"]
)
def test_an_unsafe_name_of_a_base_model_is_refused(store: MemoryStore, write: Write, name: str) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    error = refused(store, policies__toy={"model": name})
    assert error.field == "policies.toy.model" and error.fix


def test_a_model_hub_that_is_away_is_no_bad_input(
    store: MemoryStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise httpx2.ConnectError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", away)
    write("prompts", PROMPTS)
    write("weak", completions())
    with pytest.raises(Outage, match=r"policies\.toy\.model: the model hub cannot be reached"):
        resolved(store, policies__toy={"model": "org/name"})


def test_a_credential_that_the_operator_does_not_list_is_refused(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    endpoint = {"provider": "openai", "model": "gpt-4", "api_key": "env:HOME"}
    assert refused(store, models__weak=endpoint).field == "models.weak.api_key"


def test_every_cell_of_a_matrix_must_be_covered(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", completions())
    short = {"models__half": {"provider": "recorded", "completions": "dataset:half"}}
    arm = {"sft": {"teacher": "half", "fraction": 0.1}, "rl": {"critic": "critic"}}
    changes = {**short, "arms__rlaif-half": arm}
    whole = resolved(store, **changes | {"models__half": {"provider": "recorded", "completions": "dataset:weak"}})
    assert whole.datasets
    splits = prompt_splits(whole.parsed, whole.datasets, store)
    train = [prompt.prompt_id for prompt in splits.prompts if prompt.split == "train" and prompt.rank < 10]
    write("half", [{"prompt_id": prompt_id, "completion": "words"} for prompt_id in train])
    assert resolved(store, **changes, matrix={"fractions": [0.1, 0.25]}).datasets
    with pytest.raises(BadInput, match=r"models.half.completions: dataset 'half' has no completion for 10 prompts"):
        resolved(store, **changes, matrix={"fractions": [0.1, 0.5]})


BESIDE = {"also_judge": ["base", "teachers"], "evaluations__win-rate__reference": "strong"}
"""The recorded teacher is no reference here: only to be judged it needs completions of eval prompts."""


def on_split(store: MemoryStore, *wanted: str) -> list[dict[str, Any]]:
    """Completions of the prompts of these splits, and of no others."""
    parsed = parse_spec(spec())
    splits = prompt_splits(parsed, {"prompts": pinned(store)}, store)
    kept = {prompt.prompt_id for prompt in splits.prompts if prompt.split in wanted}
    return completions([row for row in PROMPTS if row["prompt_id"] in kept])


def pinned(store: MemoryStore) -> str:
    found = find_dataset(store, "prompts")
    assert found is not None
    return found.sha256


def test_a_recorded_teacher_without_eval_completions_is_not_judged_and_no_mistake(
    store: MemoryStore, write: Write
) -> None:
    write("prompts", PROMPTS)
    write("weak", on_split(store, "train"))
    found = resolved(store, **BESIDE)
    assert found.unjudged == ["weak"]
    arms = plan(found).stages[plan(found).report].params["arms"]
    assert "base" in arms and "teacher:weak" not in arms


def test_a_recorded_teacher_with_eval_completions_is_judged(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", on_split(store, "train", "eval"))
    found = resolved(store, **BESIDE)
    assert found.unjudged == []
    assert "teacher:weak" in plan(found).stages[plan(found).report].params["arms"]


def test_a_contrast_with_a_teacher_that_cannot_be_judged_is_refused(store: MemoryStore, write: Write) -> None:
    write("prompts", PROMPTS)
    write("weak", on_split(store, "train"))
    contrasts = {"headline": ["sft-weak", "teacher:weak"]}
    with pytest.raises(BadInput, match="no recorded completions of the eval prompts") as caught:
        resolved(store, **BESIDE, contrasts=contrasts)
    assert "contrasts.headline" in str(caught.value)


def test_a_reference_must_cover_the_dev_prompts_where_temperatures_are_chosen_on_them(
    store: MemoryStore, write: Write
) -> None:
    write("prompts", PROMPTS)
    write("weak", on_split(store, "train", "eval"))
    assert resolved(store).counts["dev"] == 5
    with pytest.raises(BadInput, match="no completion for 5 prompts"):
        resolved(store, **{"evaluations__win-rate__best_on_dev": True})
