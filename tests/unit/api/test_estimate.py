"""What the API looks up for an estimate: commits, like stages of earlier experiments, answers in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from services.api import ledgered
from services.api.estimate import estimate
from shared import records
from shared.artifacts import Cost, FileRef, Manifest, commit_name
from shared.asking import DEFAULT, Ask
from shared.canonical import sha256_hex
from shared.datasets import add_dataset
from shared.experiments import PREFIX
from shared.llm.chat import Answer, ChatRequest, request_key, user_request
from shared.llm.entries import Entry, Scope, pack
from shared.plan.comparisons import Comparison
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved, prompt_splits, resolve
from shared.splits import SplitPrompt
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


def commit_rows(store: MemoryStore, stage: Stage, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Commit a stage that left these rows."""
    data = records.to_bytes(records.from_rows(rows, schema))
    store.put(f"stages/{stage.key}.parquet", data)
    ref = FileRef(object=f"stages/{stage.key}.parquet", sha256=sha256_hex(data), size=len(data), rows=len(rows))
    manifest = Manifest(
        key=stage.key, kind=stage.kind, attempt="a", files={"rows.parquet": ref}, inputs={}, metrics={}, versions={},
        host="h", cost=Cost(), started="", finished="",
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


def keep(
    store: MemoryStore, model: Mapping[str, Any], given: Iterable[tuple[ChatRequest, str]], segments: int = 1
) -> None:
    """Put answers into the ledger of a model."""
    lines = [Entry(request_key(model, request), Answer(text, "stop")).to_line() for request, text in given]
    scope = Scope.of(model)
    for number in range(segments):
        data = pack(scope.header + b"".join(lines[number::segments]))
        store.put(f"ledger/{scope.name}/{number:026}.jsonl.gz", data)


def prompts_of(store: MemoryStore, split: str) -> list[SplitPrompt]:
    return [prompt for prompt in prompt_splits(resolved(store).parsed, {}, store).prompts if prompt.split == split]


def answers(store: MemoryStore, count: int, segments: int = 1) -> None:
    """The strong teacher has answered the first train prompts."""
    model = resolved(store).parsed.models["strong"].identity()
    given = [(user_request(model, prompt.prompt), "yes") for prompt in prompts_of(store, "train")[:count]]
    keep(store, model, given, segments)


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
    own = [row for row in asked_strong(shown) if row["requests"] > row["repeated"]]
    assert {row["in_ledger_unknown"] for row in own} == {"its prompts are declared, not there"}


CRITIC = {**PRICED, "model": "critic"}


def sampled(store: MemoryStore, made: Plan, key: str, n: int = 2, same: int = 0) -> list[list[str]]:
    """Commit a `sample` stage: n completions a prompt, the first of `same` prompts all alike. Returns them."""
    stage = made.stages[key]
    prompts = prompts_of(store, stage.params["split"])[-90 if stage.params["split"] == "train" else 0 :]
    texts = [[f"{prompt.prompt_id} {0 if place < same else index}" for index in range(n)]
             for place, prompt in enumerate(prompts)]  # fmt: skip
    rows = [
        {"prompt_id": prompt.prompt_id, "sample_index": index, "prompt": prompt.prompt, "completion": text}
        for prompt, given in zip(prompts, texts, strict=True)
        for index, text in enumerate(given)
    ]
    commit_rows(store, stage, rows, records.COMPLETIONS)
    return texts


def label_of(made: Plan, arm: str = "rlaif-weak") -> Stage:
    return next(stage for stage in made.stages.values() if stage.kind == "label" and arm in stage.arms)


def row_of(shown: dict[str, Any], stage: Stage) -> dict[str, Any]:
    return next(row for row in shown["stages"] if row["key"] == stage.key)


def asked_about(ask: Ask, model: Mapping[str, Any], prompt: SplitPrompt, a: str, b: str) -> list[ChatRequest]:
    pair = Comparison(prompt.prompt_id, prompt.prompt, a, b)
    return [ask.request(model, ask.own_template(), values) for values in ask.questions(pair, None)]


def test_a_critic_s_answers_about_committed_samples_are_found(store: MemoryStore, tmp_path: Path) -> None:
    made_of = {"models__critic": CRITIC}
    label = label_of(made_plan := plan(resolved(store, **made_of)))
    texts = sampled(store, made_plan, label.inputs["samples"], same=10)
    prompts, model = prompts_of(store, "train")[-90:], label.params["critic"]
    given = [request for prompt, (a, b) in zip(prompts[:40], texts, strict=False)
             for request in asked_about(DEFAULT, model, prompt, a, b)]  # fmt: skip
    keep(store, model, [(request, "Verdict: A") for request in given])
    row = row_of(made(store, tmp_path, **made_of), label)
    # Of 90 pairs 10 are identical; of the first 40 that leaves 30 that were asked about, in both orders.
    assert (row["requests"], row["in_ledger"], row["in_ledger_unknown"]) == (160, 60, None)
    assert row["tokens"]["output"] == 100 * 80


def test_samples_that_are_not_there_yet_leave_it_open(store: MemoryStore, tmp_path: Path) -> None:
    made_of = {"models__critic": CRITIC}
    made_plan = plan(resolved(store, **made_of))
    labels = [label_of(made_plan, arm) for arm in ("rlaif-weak", "rlaif-strong")]
    sampled(store, made_plan, labels[0].inputs["samples"])
    keep(store, labels[0].params["critic"], [(user_request(CRITIC, "another question"), "yes")])
    there, open_ = (row_of(made(store, tmp_path, **made_of), label) for label in labels)
    assert (there["in_ledger"], there["requests"]) == (0, 180)
    assert open_["in_ledger"] is None and "not done yet" in open_["in_ledger_unknown"]


def test_a_score_asks_once_about_each_completion(store: MemoryStore, tmp_path: Path) -> None:
    """Of three samples in all their pairs each is asked about once, though it is in two pairs."""
    made_of = {
        "models__critic": {**CRITIC, "ask": {"kind": "score"}},
        "arms__rlaif-weak__rl": {"critic": "critic", "samples": 3, "choose": "all"},
    }
    label = label_of(made_plan := plan(resolved(store, **made_of)))
    sampled(store, made_plan, label.inputs["samples"], n=3)
    row = row_of(made(store, tmp_path, **made_of), label)
    assert row["requests"] - row["repeated"] == 270
    assert row["tokens"]["output"] == 270 * 80


def judged(made: Plan) -> list[Stage]:
    return [stage for stage in made.stages.values() if stage.kind == "judge" and "sft-weak" in stage.arms]


def test_a_reference_that_is_only_answered_in_the_ledger_tells_what_the_judge_will_be_asked(
    store: MemoryStore, tmp_path: Path
) -> None:
    made_of = {"models__critic": CRITIC, "evaluations__win-rate__reference": "strong"}
    made_plan = plan(resolved(store, **made_of))
    judge = judged(made_plan)[0]
    texts = sampled(store, made_plan, judge.inputs["samples"], n=1)
    prompts, model = prompts_of(store, "eval"), judge.params["judge"]
    teacher = made_plan.stages[judge.inputs["reference"]].params["model"]
    keep(store, teacher, [(user_request(teacher, one.prompt), f"to {one.prompt_id}") for one in prompts[:30]])
    given = [request for prompt, (text,) in zip(prompts[:20], texts, strict=False)
             for request in asked_about(DEFAULT, model, prompt, text, f"to {prompt.prompt_id}")]  # fmt: skip
    keep(store, model, [(request, "Verdict: A") for request in given])
    row = row_of(made(store, tmp_path, **made_of), judge)
    assert (row["requests"], row["in_ledger"]) == (80, 40)
    assert row["in_ledger_unknown"] == "of 20 requests: its requests follow from stages that are not done yet"


def test_an_ensemble_s_members_are_looked_up_one_by_one(store: MemoryStore, tmp_path: Path) -> None:
    made_of = {
        "models__one": CRITIC, "models__two": {**CRITIC, "model": "other"},
        "models__both": {"provider": "ensemble", "members": ["one", "two"]}, "arms__rlaif-weak__rl__critic": "both",
    }  # fmt: skip
    label = label_of(made_plan := plan(resolved(store, **made_of)))
    texts = sampled(store, made_plan, label.inputs["samples"])
    model = label.params["critic"]["members"][1]["critic"]
    given = [request for prompt, (a, b) in zip(prompts_of(store, "train")[-90:], texts, strict=True)
             for request in asked_about(DEFAULT, model, prompt, a, b)]  # fmt: skip
    keep(store, model, [(request, "Verdict: A") for request in given[:50]])
    shown = made(store, tmp_path, **made_of)
    assert (row_of(shown, label)["requests"], row_of(shown, label)["in_ledger"]) == (360, 50)
    assert shown["in_ledger"] == 50


def test_a_check_s_recorded_pairs_tell_what_will_be_asked(store: MemoryStore, tmp_path: Path) -> None:
    pairs = [{"prompt_id": one.prompt_id, "completion_a": "a", "completion_b": "b", "preference": 1.0}
             for one in prompts_of(store, "eval")]  # fmt: skip
    file = tmp_path / "people.jsonl"
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    add_dataset(store, "people", file)
    people = {"provider": "recorded", "preferences": "dataset:people"}
    made_of = {"models__critic": CRITIC, "models__people": people, "critic_check": {"labels": "people"}}
    given = plan(resolved(store, **made_of))
    check = next(stage for stage in given.stages.values() if stage.params.get("pairs") == "given")
    rows = [{"prompt_id": one.prompt_id, "prompt": one.prompt, "completion_a": "a", "completion_b": "b"}
            for one in prompts_of(store, "eval")]  # fmt: skip
    commit_rows(store, given.stages[check.inputs["preferences"]], rows, records.PREFERENCES)
    model = check.params["critic"]
    (first, second) = asked_about(DEFAULT, model, prompts_of(store, "eval")[0], "a", "b")
    keep(store, model, [(first, "Verdict: A"), (second, "Verdict: A")])
    row = row_of(made(store, tmp_path, **made_of), check)
    assert (row["requests"], row["in_ledger"], row["in_ledger_unknown"]) == (80, 2, None)


def test_an_ensemble_s_history_is_its_members_own(store: MemoryStore, tmp_path: Path) -> None:
    made_of = {
        "models__one": CRITIC, "models__two": {**CRITIC, "model": "other"},
        "models__both": {"provider": "ensemble", "members": ["one", "two"]}, "arms__rlaif-weak__rl__critic": "both",
    }  # fmt: skip
    for stage in earlier(store, **made_of, prompts__train=50):
        if stage.kind == "label" and "members" in stage.params["critic"]:
            each = {str(number): {"requests": 90, "input_tokens": 90 * tokens, "output_tokens": 90}
                    for number, tokens in enumerate((100, 300))}  # fmt: skip
            commit(store, stage, requests=180, input_tokens=90 * 400, output_tokens=180, members=each)
    label = label_of(plan(resolved(store, **made_of)))
    row = row_of(made(store, tmp_path, **made_of), label)
    assert row["tokens_from"] == "the history of 90 requests"
    assert row["tokens"] == {"input": 180 * (100 + 300), "output": 180 * 2}


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


def test_a_judge_that_is_alone_of_its_family_is_warned_of(store: MemoryStore, tmp_path: Path) -> None:
    (warning,) = made(store, tmp_path)["warnings"]
    assert "one family of judges (simulated error_rate=0.1)" in warning
    second = {"protocol": "pairwise", "judge": "other", "reference": "weak", "temperature": [0.7]}
    other = {"models__other": {"provider": "simulated", "error_rate": 0.2}, "evaluations__other": second}
    assert made(store, tmp_path, **other)["warnings"] == []
