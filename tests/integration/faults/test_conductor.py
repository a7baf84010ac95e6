"""The conductor under faults, with stub stages: the experiment finishes by itself and nothing is done twice."""

from __future__ import annotations

import resource
import signal
import threading
from collections import Counter
from typing import Any

import pytest

from shared import experiments
from shared.artifacts import Manifest, commit_key_of
from shared.attempts import LOST_ALLOWED
from shared.kinds import QUEUES
from shared.plan import plan
from shared.queues import send_unit
from shared.units import Unit
from tests.stack import ROOT, Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

FINISH = 90


def start_workers(stack: Stack, seconds: float = 0.2, **environment: str) -> None:
    """One stub worker a queue."""
    log = str(stack.folder / "stub.log")
    for queue in QUEUES:
        command = ["-m", "tests.stubs.worker", queue, "1" if queue == "trainer" else "2"]
        stack.start(queue, command, ROOT, STUB_LOG=log, STUB_SECONDS=str(seconds), **environment)


def start_all(stack: Stack, seconds: float = 0.2, **environment: str) -> None:
    stack.start("conductor", ["-m", "services.conductor"])
    start_workers(stack, seconds, **environment)


def submit(stack: Stack, **changes: Any) -> str:
    id = experiments.new_id()
    experiments.create(stack.store, stack.redis, resolved(spec_with(**changes)), "", id)
    return id


def summary(stack: Stack, id: str) -> dict[str, Any]:
    found = experiments.read_summary(stack.redis, stack.store, id)
    assert found is not None
    return found


def finished(stack: Stack, id: str) -> dict[str, Any]:
    return wait_until(
        lambda: (found := summary(stack, id))["state"] != "running" and found, FINISH, "the experiment to finish"
    )


def stub_log(stack: Stack) -> list[list[str]]:
    path = stack.folder / "stub.log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def committed(stack: Stack, id: str, at_least: int) -> bool:
    return bool(summary(stack, id)["counts"].get("committed", 0) >= at_least)


def contents(stack: Stack) -> dict[str, set[str]]:
    """By key, the hashes of the files of all its commits."""
    found: dict[str, set[str]] = {}
    for info in stack.store.list("commits/"):
        manifest = Manifest.from_json(stack.store.get(info.name))
        hashes = ",".join(ref.sha256 for ref in manifest.files.values())
        found.setdefault(commit_key_of(info.name), set()).add(hashes)
    return found


def bytes_of(stack: Stack) -> dict[str, bytes]:
    return {info.name: stack.store.get(info.name) for info in stack.store.list("commits/")}


def test_an_undisturbed_run_does_each_stage_once(stack: Stack) -> None:
    start_all(stack)
    found = finished(stack, submit(stack))
    assert found["state"] == "succeeded"
    begun = Counter(line[2] for line in stub_log(stack))
    assert set(begun) == set(plan(resolved()).stages)
    assert set(begun.values()) == {1}


def test_a_second_experiment_reuses_every_stage(stack: Stack) -> None:
    start_all(stack)
    finished(stack, submit(stack))
    begun = len(stub_log(stack))
    again = finished(stack, submit(stack))
    assert again["counts"]["reused"] == len(again["stages"])
    assert len(stub_log(stack)) == begun


def test_flushall_while_everything_is_busy_ends_nothing_and_repeats_nothing(stack: Stack) -> None:
    start_all(stack)
    id = submit(stack)
    for done in (3, 12, 25):
        wait_until(lambda done=done: committed(stack, id, done), FINISH, f"{done} commits")  # type: ignore[misc]
        stack.redis.flushall()
    assert finished(stack, id)["state"] == "succeeded"
    assert set(Counter(line[2] for line in stub_log(stack)).values()) == {1}


@pytest.mark.parametrize("name", ["conductor", "valkey", "s3", "trainer"])
def test_a_killed_process_costs_nothing_once_it_is_back(stack: Stack, name: str) -> None:
    start_all(stack)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 8), FINISH, "eight commits")
    before = bytes_of(stack)
    stack.kill(name)
    {"valkey": stack.start_valkey, "s3": stack.start_s3}.get(name, lambda: stack.start(name))()
    found = finished(stack, id)
    assert found["state"] == "succeeded"
    after = bytes_of(stack)
    assert all(after[commit] == data for commit, data in before.items())
    assert all(len(hashes) == 1 for hashes in contents(stack).values())


def test_two_workers_given_the_same_message_do_it_once(stack: Stack) -> None:
    start_workers(stack, 0.5)
    unit = Unit(key="ab" * 32, kind="prompts", params={})
    for _ in range(5):
        send_unit(stack.app, "prompts", unit.model_dump(mode="json"))
    wait_until(lambda: list(stack.store.list("commits/")), FINISH, "the commit")
    wait_until(lambda: stack.redis.llen("teacher") == 0, FINISH, "the queue to be empty")
    send_unit(stack.app, "prompts", unit.model_dump(mode="json"))
    wait_until(lambda: stack.redis.llen("teacher") == 0, FINISH, "the queue to be empty")
    assert len(stub_log(stack)) == 1
    assert len(list(stack.store.list("commits/"))) == 1


def test_a_stopped_worker_that_is_overtaken_changes_no_committed_byte(stack: Stack) -> None:
    go = stack.folder / "go"
    stack.start("conductor", ["-m", "services.conductor"])
    start_workers(stack, 0.1, STUB_HOLD="pretrain", STUB_HOLD_UNTIL=str(go))
    id = submit(stack)
    held = wait_until(
        lambda: [line for line in stub_log(stack) if line[0] == "holding"], FINISH, "the stage before its commit"
    )
    stack.kill("trainer", signal.SIGSTOP)
    stack.start(
        "rival",
        ["-m", "tests.stubs.worker", "trainer", "1"],
        STUB_LOG=str(stack.folder / "stub.log"),
        STUB_SECONDS="0.1",
    )
    assert finished(stack, id)["state"] == "succeeded"
    before = bytes_of(stack)
    go.touch()
    stack.kill("trainer", signal.SIGCONT)
    wait_until(lambda: "another worker has" in stack_logs(stack, held[0][2]), FINISH, "the overtaken one to see it")
    assert bytes_of(stack) == before


def stack_logs(stack: Stack, key: str) -> str:
    """All attempts' logs of a stage."""
    return "".join(stack.store.get(info.name).decode() for info in stack.store.list(f"scratch/{key}/logs/"))


def test_a_stage_that_kills_its_worker_each_time_ends_as_failed(stack: Stack) -> None:
    stack.start("conductor", ["-m", "services.conductor"])
    start_workers(stack, 0.1, STUB_SUICIDE="pretrain")
    id = submit(stack)

    def state() -> str:
        if stack.processes["trainer"].poll() is not None:
            stack.start("trainer")
        return str(summary(stack, id)["state"])

    wait_until(lambda: state() == "failed", FINISH, "the experiment to fail")
    (failed,) = [stage for stage in summary(stack, id)["stages"] if stage["state"] == "failed"]
    assert failed["kind"] == "pretrain"
    assert "killed" in failed["error"]
    assert sum(line[1] == "pretrain" for line in stub_log(stack)) == LOST_ALLOWED
    others = {stage["kind"] for stage in summary(stack, id)["stages"] if stage["state"] == "committed"}
    assert others == {"prompts", "teach"}


def test_a_thousand_ready_stages_leave_at_most_a_thousand_messages(stack: Stack) -> None:
    """Reconciling is level-triggered: twenty rounds over a full queue must not add to it."""
    from services.conductor.reconcile import Conductor

    conductor = Conductor(stack.settings, stack.store, stack.redis, stack.app)
    id = submit(stack, seeds=list(range(250)))
    made = plan(resolved(spec_with(seeds=list(range(250)))))
    conductor.step()
    experiment = conductor.experiments[id]
    ready = [
        Unit(key=key, kind="sft", params=stage.params) for key, stage in made.stages.items() if stage.kind == "sft"
    ]
    assert len(ready) == 1000
    for _ in range(20):
        conductor.board.refresh(stack.redis, [unit.commit_key for unit in ready])
        conductor.dispatcher.dispatch([unit.model_copy(update={"experiment": experiment.id}) for unit in ready])
    assert stack.redis.llen("trainer") == 1000


@pytest.mark.parametrize(
    "seconds", [0.5, pytest.param(3.0, marks=pytest.mark.slow), pytest.param(20.0, marks=pytest.mark.slow)]
)
def test_a_broker_that_was_away_brings_nothing_to_an_end(stack: Stack, seconds: float) -> None:
    start_all(stack, 0.5)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 6), FINISH, "six commits")
    stack.kill("valkey")
    away_for(seconds)
    stack.start_valkey()
    assert finished(stack, id)["state"] == "succeeded"
    assert all(len(hashes) == 1 for hashes in contents(stack).values())


@pytest.mark.slow
def test_a_store_that_was_away_for_half_a_minute_costs_only_the_wait(stack: Stack) -> None:
    start_all(stack, 0.5)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 6), FINISH, "six commits")
    before = bytes_of(stack)
    stack.kill("s3")
    away_for(30.0)
    stack.start_s3()
    assert finished(stack, id)["state"] == "succeeded"
    after = bytes_of(stack)
    assert all(after[name] == data for name, data in before.items())


def test_refused_writes_make_stages_wait_until_there_is_room_again(stack: Stack) -> None:
    start_all(stack, 0.1)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 3), FINISH, "three commits")
    server = stack.processes["s3"].pid
    resource.prlimit(server, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    waiting = wait_until(
        lambda: [stage for stage in summary(stack, id)["stages"] if stage["state"] == "waiting"],
        FINISH,
        "a stage to wait",
    )
    assert "object store" in waiting[0]["reason"]
    resource.prlimit(server, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert finished(stack, id)["state"] == "succeeded"


def away_for(seconds: float) -> None:
    """Let a fault last for as long as the test is about."""
    threading.Event().wait(seconds)
