"""Budgets with real parts: conductor, workers, Valkey, S3 and a simulator that counts what it would bill."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.simulator.completions import complete
from services.teacher.prompts import splits_of
from shared import experiments
from shared.budget import NANO, counted, grants_folder, read_accounts
from shared.llm.entries import Entry, split_lines, unpack
from shared.plan.experiment import plan
from shared.spec.resolve import Resolved
from shared.store import MemoryStore
from tests.integration.llm.traffic import start_simulator, traffic
from tests.stack import Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

PRICE = {"input": 1000.0, "output": 1000.0}
TEACHER = {"provider": "simulated", "accuracy": 0.5, "price": PRICE, "limits": {"concurrency": 50}}


def experiment(train: int, teacher: dict[str, Any] = TEACHER, **changes: Any) -> Resolved:
    """Its paid work is one teacher's completions of `train` + 60 prompts; all else waits for the first of them."""
    arm = {"sft": {"teacher": "weak"}}
    spec = spec_with(
        prompts={"source": {"world": {"seed": 0, "count": train + 400}}, "train": train, "eval": 60},
        policies={"toy": {"model": "model:base"}},
        models__weak=teacher,
        arms={"a": arm, "b": {"sft": {"teacher": "weak", "args": {"learning_rate": 0.1}}}},
        contrasts={"headline": ["a", "b"]},
        evaluations={"wins": {"protocol": "pairwise", "judge": "critic", "reference": "weak", "temperature": [0.0]}},
        primary={"evaluation": "wins@0.0"},
        **changes,
    )
    return resolved(spec).model_copy(update={"policies": {"toy": {"uploaded": "0" * 64}}})


def submit(stack: Stack, train: int, **changes: Any) -> str:
    id = experiments.new_id()
    experiments.create(stack.store, stack.redis, experiment(train, **changes), "", id)
    return id


def start(stack: Stack, teachers: int = 1, latency_ms: int = 50, shard_rows: int = 500) -> Path:
    log = start_simulator(stack, latency_ms=latency_ms)
    stack.start("conductor", TOUCHSTONE_SHARD_ROWS=str(shard_rows))
    for number in range(teachers):
        stack.start(f"teacher-{number + 1}")
    return log


def bill(stack: Stack) -> float:
    """What all requests that arrived cost, in dollars: from the simulator's log, priced by what the ledger says they
    used; one whose answer nobody kept costs as much as the dearest."""
    used = {entry.key: entry for entry in ledger(stack)}
    cost = {key: price_of(entry) for key, entry in used.items()}
    counts = Counter(line["hash"] for line in traffic(stack.folder / "traffic.jsonl") if line["answered"])
    again = sum(count - 1 for count in counts.values()) + max(0, len(counts) - len(cost))
    return sum(cost.values()) + again * max(cost.values(), default=0.0)


def price_of(entry: Entry) -> float:
    tokens = (entry.answer.input_tokens or 0, entry.answer.output_tokens or 0)
    return (tokens[0] * PRICE["input"] + tokens[1] * PRICE["output"]) / 1e6


def ledger(stack: Stack) -> list[Entry]:
    store = stack.store
    lines = [split_lines(unpack(store.get(info.name))) for info in store.list("ledger/")]
    return [Entry.from_line(line) for segment in lines for _, line in segment]


def summary(stack: Stack, id: str) -> dict[str, Any]:
    return experiments.read_summary(stack.redis, stack.store, id) or {}


def wait_paused(stack: Stack, id: str, timeout: float = 120) -> dict[str, Any]:
    wait_until(lambda: summary(stack, id).get("state") == "paused", timeout, "the experiment to pause")
    return summary(stack, id)


def teach_is_done(stack: Stack, id: str, timeout: float = 120) -> None:
    """All of the teachers' stages are committed; trainings, which have no worker here, are not."""

    def done() -> bool:
        rows = [row for row in summary(stack, id).get("stages", []) if row["kind"] == "teach"]
        return bool(rows) and all(row["state"] == "committed" for row in rows)

    wait_until(done, timeout, "the teachers' stages")


def spent(stack: Stack, id: str) -> float:
    return counted(read_accounts(info.name for info in stack.store.list(grants_folder(id))).values()) / NANO


def money(stack: Stack, id: str) -> tuple[float, float]:
    """Spent and promised, as people see it."""
    shown = summary(stack, id).get("budget", {})
    return shown.get("spent_usd", -1), shown.get("promised_usd", -1)


def whole_cost(train: int) -> float:
    """What the experiment's teacher would cost in all."""
    stages = plan(experiment(train)).stages.values()
    prompts = next(stage.params for stage in stages if stage.kind == "prompts")
    model = next(stage.params["model"]["model"] for stage in stages if stage.kind == "teach")
    total = 0.0
    for prompt in splits_of(MemoryStore(), prompts).prompts:
        usage = complete({"model": model, "messages": [{"role": "user", "content": prompt.prompt}]})["usage"]
        total += usage["prompt_tokens"] * PRICE["input"] + usage["completion_tokens"] * PRICE["output"]
    return total / 1e6


@contextmanager
def flushing(stack: Stack, every: float = 1.0) -> Iterator[None]:
    """FLUSHALL again and again."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every):
            stack.redis.flushall()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def resume(stack: Stack, id: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{stack.api_url}/v1/experiments/{id}/resume", json=more or None, timeout=30)


@pytest.mark.slow
def test_half_the_money_does_half_the_work_and_more_money_the_rest(stack: Stack) -> None:
    budget = whole_cost(700) / 2
    log = start(stack, shard_rows=250)
    stack.start("api")
    id = submit(stack, 700, budget_usd=budget)
    found = wait_paused(stack, id)
    wait_until(lambda: not open_purses(stack), 30, "the last purse to close")
    assert 0.95 * budget <= bill(stack) <= budget
    assert spent(stack, id) == pytest.approx(bill(stack), abs=1e-6)
    wait_until(lambda: money(stack, id) == pytest.approx((bill(stack), 0), abs=1e-6), 30, "the summary to say it")
    reasons = [row["reason"] for row in found["stages"] if row["kind"] == "teach" and row["state"] == "waiting"]
    assert reasons and all("are spent; a request needs up to" in reason for reason in reasons)
    assert all(f"touchstone resume {id} --budget N" in reason for reason in reasons)
    asked = len(traffic(log))

    stack.wait_ready("api")
    lower = resume(stack, id, budget_usd=budget / 2)
    assert lower.status_code == 422 and "is less than the budget of" in lower.text
    assert resume(stack, id).status_code == resume(stack, id, stage_budgets_usd={"teach": 9}).status_code == 422
    same = resume(stack, id, budget_usd=budget)
    assert same.status_code == 422 and "the budget is spent" in same.text and "--budget N" in same.text
    assert summary(stack, id)["state"] == "paused"
    assert len(traffic(log)) == asked
    assert resume(stack, id, budget_usd=2.2 * budget).status_code == 200
    teach_is_done(stack, id)
    assert set(Counter(line["hash"] for line in traffic(log)).values()) == {1}
    # Idle connections that the simulator closed meanwhile: a request that broke on one counts in full.
    assert 2 * budget - 1e-6 <= spent(stack, id) <= 1.05 * 2 * budget
    # Of one that is not paused nothing changes, and its budget may rise.
    assert resume(stack, id).json()["state"] == resume(stack, id, budget_usd=3 * budget).json()["state"] == "running"


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 3])
def test_neither_wipes_nor_kills_nor_a_second_conductor_pass_the_budget(stack: Stack, kills: int) -> None:
    budget = whole_cost(1500) / 2
    log = start(stack, teachers=4, latency_ms=200, shard_rows=150)
    stack.start("conductor-2", TOUCHSTONE_SHARD_ROWS="150")
    id = submit(stack, 1500, budget_usd=budget)
    with flushing(stack):
        for kill in range(1, kills + 1):
            wait_until(lambda kill=kill: len(traffic(log)) > 100 * kill, 120, "requests")  # type: ignore[misc]
            stack.restart(f"teacher-{kill}")
            assert bill(stack) <= budget
        wait_until(lambda: spent(stack, id) >= 0.95 * budget and not open_purses(stack), 240, "the money to be spent")
    wait_paused(stack, id)
    # What was in flight at a kill counts in full, whatever it cost: then less was billed than was spent.
    assert (0.0 if kills else 0.95 * budget) <= bill(stack) <= spent(stack, id) + 1e-6 <= budget + 1e-6


def open_purses(stack: Stack) -> list[Path]:
    return list((stack.settings.data_dir / "purses").glob("*/*"))


@pytest.mark.slow
def test_a_killed_worker_counts_what_was_in_flight_and_gives_the_rest_back(stack: Stack) -> None:
    start(stack, latency_ms=300)
    budget = 10 * whole_cost(200)
    id = submit(stack, 200, budget_usd=budget)
    wait_until(lambda: ledger(stack), 60, "answers")
    stack.restart("teacher-1")
    teach_is_done(stack, id)
    in_flight = 2 * 50 * 0.2
    assert bill(stack) <= spent(stack, id) + 1e-6 <= whole_cost(200) + in_flight
    assert not open_purses(stack)


@pytest.mark.slow
def test_a_cap_on_a_kind_of_stage_holds_although_the_budget_would_not_stop_it(stack: Stack) -> None:
    whole = whole_cost(300)
    start(stack)
    id = submit(stack, 300, budget_usd=10 * whole, stage_budgets_usd={"teach": whole / 2})
    found = wait_paused(stack, id)
    assert 0.9 * whole / 2 <= bill(stack) <= whole / 2
    reasons = [row["reason"] for row in found["stages"] if row["state"] == "waiting"]
    assert reasons and all(
        "budget of teach: $" in reason and f"{id} --stage-budget teach=N" in reason for reason in reasons
    )


@pytest.mark.slow
def test_without_a_budget_nobody_asks_for_money(stack: Stack) -> None:
    start(stack)
    id = submit(stack, 40)
    teach_is_done(stack, id)
    assert list(stack.store.list(grants_folder(id))) == []
    assert "budget" not in summary(stack, id)
