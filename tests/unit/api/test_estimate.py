"""What the API looks up for an estimate: commits, like stages of earlier experiments, answers in the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.api import ledgered
from services.api.estimate import estimate
from shared.artifacts import Cost, Manifest, commit_name
from shared.experiments import PREFIX
from shared.llm.chat import Answer, request_key, user_request
from shared.llm.entries import Entry, Scope, pack
from shared.plan import Stage, plan
from shared.resolve import Resolved, prompt_splits, resolve
from shared.settings import Settings
from shared.specparse import parse_spec
from shared.store import MemoryStore
from tests.unit.specs import spec_with

PRICED = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "price": {"input": 1, "output": 2}}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def resolved(store: MemoryStore, **changes: Any) -> Resolved:
    return resolve(parse_spec(spec_with(**{"models__strong": PRICED, **changes})), store, Settings())


def made(store: MemoryStore, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return estimate(resolved(store, **changes), store, Settings(data_dir=tmp_path))


def commit(store: MemoryStore, stage: Stage, seconds: float = 0.0, **metrics: Any) -> None:
    """Commit a stage with these metrics, and no files."""
    manifest = Manifest(
        key=stage.key, kind=stage.kind, attempt="a", files={}, inputs={}, metrics=metrics, versions={}, host="h",
        cost=Cost(device_seconds=seconds), started="2026-01-01T00:00:00+00:00", finished="2026-01-01T00:01:00+00:00",
    )  # fmt: skip
    store.put(commit_name(stage.key, "a"), manifest.to_json())


def earlier(store: MemoryStore, **changes: Any) -> list[Stage]:
    """An experiment that was there before; returns its stages."""
    given = resolved(store, **changes)
    store.put(f"{PREFIX}earlier/resolved.json", given.model_dump_json().encode())
    store.put(f"{PREFIX}earlier/experiment.json", b"{}")
    return list(plan(given).stages.values())


def asked_strong(shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in shown["stages"] if row["kind"] == "teach" and row["model"] == "strong"]


def test_like_stages_of_an_earlier_experiment_tell_of_tokens_and_hours(store: MemoryStore, tmp_path: Path) -> None:
    assert {row["tokens_from"] for row in asked_strong(made(store, tmp_path))} == {"assumption"}
    for stage in earlier(store, prompts__train=50):
        if stage.kind == "teach" and stage.options["name"] == "strong":
            rows = round(50 * stage.params["stop"])
            commit(store, stage, requests=rows, input_tokens=70 * rows, output_tokens=30 * rows)
        if stage.kind == "pretrain":
            commit(store, stage, seconds=36.0)
    shown = made(store, tmp_path)
    assert {row["tokens_from"] for row in asked_strong(shown)} == {"the history of 55 requests"}
    whole = max(asked_strong(shown), key=lambda row: row["requests"])
    assert whole["tokens"] == {"input": 7000, "output": 3000}
    assert shown["cost_usd"] == pytest.approx((7000 * 1 + 3000 * 2) / 1e6)
    assert shown["device_hours"] == pytest.approx(0.01) and shown["device_unknown"] > 0


def test_an_experiment_that_cannot_be_planned_any_more_is_no_history(store: MemoryStore, tmp_path: Path) -> None:
    store.put(f"{PREFIX}old/experiment.json", b"{}")
    store.put(f"{PREFIX}old/resolved.json", json.dumps({"spec": {"name": "old"}}).encode())
    assert asked_strong(made(store, tmp_path))[0]["tokens_from"] == "assumption"


def answers(store: MemoryStore, count: int, segments: int = 1) -> None:
    """Put answers to the first train prompts into the ledger of the strong teacher."""
    given = resolved(store)
    model = given.parsed.models["strong"].identity()
    splits = prompt_splits(given.parsed, {}, store)
    keys = [
        request_key(model, user_request(model, prompt.prompt))
        for prompt in splits.prompts
        if prompt.split == "train" and prompt.rank < count
    ]
    scope = Scope.of(model)
    for number in range(segments):
        lines = b"".join(Entry(key, Answer("yes", "stop")).to_line() for key in keys[number::segments])
        store.put(f"ledger/{scope.name}/{number:026}.jsonl.gz", pack(scope.header + lines))


def test_answers_in_the_ledger_are_counted_and_not_paid_again(store: MemoryStore, tmp_path: Path) -> None:
    before = made(store, tmp_path)
    assert [row["in_ledger"] for row in asked_strong(before)] == [0, 0], (
        "a model that nobody asked has answered nothing"
    )
    answers(store, 30, segments=3)
    shown = made(store, tmp_path)
    assert sum(row["in_ledger"] for row in asked_strong(shown)) == shown["in_ledger"] == 30
    assert shown["cost_usd"] == pytest.approx(before["cost_usd"] * 0.7)


def test_what_cannot_be_known_yet_says_why(store: MemoryStore, tmp_path: Path) -> None:
    answers(store, 5)
    shown = made(store, tmp_path, models__critic={**PRICED, "temperature": 0.0})
    labels = [row for row in shown["stages"] if row["kind"] == "label"]
    assert all(row["in_ledger"] is None and "not done yet" in row["in_ledger_unknown"] for row in labels)


def test_reading_the_ledger_takes_a_bounded_time(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(store, 5)
    monkeypatch.setattr(ledgered, "SECONDS", -1.0)
    row = next(row for row in asked_strong(made(store, tmp_path)) if row["in_ledger"] is None)
    assert row["in_ledger_unknown"] == "1 segments of the ledger are not read yet: plan again"
    monkeypatch.setattr(ledgered, "SECONDS", 5.0)
    monkeypatch.setattr(ledgered, "MOST_KEYS", 3)
    row = asked_strong(made(store, tmp_path))[0]
    assert row["in_ledger_unknown"] == "no more than 3 requests are looked up"


def test_a_folder_that_cannot_be_written_costs_the_look_up_alone(store: MemoryStore, tmp_path: Path) -> None:
    answers(store, 5)
    (tmp_path / "file").write_text("")
    shown = made(store, tmp_path / "file")
    assert all(row["in_ledger_unknown"] == "the ledger cannot be read here" for row in asked_strong(shown))
    assert shown["cost_usd"] > 0


def test_declared_prompts_have_no_text_and_no_answers(store: MemoryStore, tmp_path: Path) -> None:
    answers(store, 5)
    prompts = {"source": {"declared": {"name": "sharegpt", "rows": 500}}, "train": 400, "dev": 0, "eval": 100}
    shown = made(store, tmp_path, prompts=prompts)
    assert shown["provisional"] and all(row["provisional"] for row in shown["stages"])
    assert {row["in_ledger_unknown"] for row in asked_strong(shown)} == {"its prompts are declared, not there"}


def test_an_earlier_report_tells_what_the_primary_will_see(store: MemoryStore, tmp_path: Path) -> None:
    before = made(store, tmp_path)["power"]
    assert before["experiment"] is None and "Sharma" in before["source"]
    (report,) = [stage for stage in earlier(store, prompts__eval=20) if stage.kind == "report"]
    measured = {"prompt": 400.0, "seed": 0.0, "residual": 0.0, "recipe": False, "prompts": 20, "seeds": 1}
    commit(store, report, primary=measured)
    found = made(store, tmp_path)["power"]
    assert found["experiment"] == "earlier"
    assert found["half_width"] == pytest.approx(20 * 2.02 / 40**0.5, rel=0.02)
    assert made(store, tmp_path, models__critic__error_rate=0.3)["power"]["experiment"] is None
