"""The conductor under faults, with stub stages: the experiment finishes by itself and nothing is done twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from shared.artifacts import commit_key_of
from shared.attempts import LOST_ALLOWED, read_markers
from shared.leases import lease_name
from shared.plan.experiment import plan
from shared.queues import send_unit
from shared.units import Unit, attempts_prefix
from tests.integration.faults.stubbed import (
    FINISH,
    begun,
    bytes_of,
    committed,
    contents,
    finished,
    holding,
    stack_logs,
    start_all,
    start_rival,
    start_workers,
    stub_log,
    submit,
    summary,
)
from tests.stack import Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

SERVERS = frozenset({"conductor", "valkey", "s3"})


def slow(value: str) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


def at_work(stack: Stack, name: str) -> bool:
    """Whether a worker has begun a stage that is not committed yet; servers always are."""
    if name in SERVERS:
        return True
    done = {commit_key_of(info.name) for info in stack.store.list("commits/")}
    pid = str(stack.processes[name].pid)
    return any(line[3] == pid and line[2] not in done for line in stub_log(stack))


@pytest.mark.slow
def test_an_undisturbed_run_does_each_stage_once(stack: Stack) -> None:
    start_all(stack)
    found = finished(stack, submit(stack))
    assert found["state"] == "succeeded"
    assert set(begun(stack)) == set(plan(resolved()).stages)
    assert set(begun(stack).values()) == {1}


@pytest.mark.slow
def test_a_second_experiment_reuses_every_stage(stack: Stack) -> None:
    start_all(stack)
    first = finished(stack, submit(stack))
    before = begun(stack)
    again = finished(stack, submit(stack))
    assert again["counts"]["reused"] == len(again["stages"])
    assert first["created"] < first["finished"] < again["created"] == again["finished"]
    assert begun(stack) == before


def test_flushall_while_everything_is_busy_ends_nothing_and_repeats_nothing(stack: Stack) -> None:
    start_all(stack)
    id = submit(stack)
    for done in (3, 12, 25):
        wait_until(lambda done=done: committed(stack, id, done), FINISH, f"{done} commits")  # type: ignore[misc]
        stack.redis.flushall()
    assert finished(stack, id)["state"] == "succeeded"
    assert set(begun(stack).values()) == {1}


@pytest.mark.slow
def test_flushall_in_the_middle_of_a_stage_leaves_it_to_the_process_that_does_it(stack: Stack) -> None:
    """Also where an idle rival waits, and the conductor is killed between the wipe and the lease's return."""
    go = stack.folder / "go"
    start_all(stack, 0.1, STUB_HOLD="pretrain", STUB_HOLD_UNTIL=str(go))
    start_rival(stack, "trainer")
    id = submit(stack)
    held = holding(stack)
    lease = lease_name(held[2])
    for restart in (False, True):
        wait_until(lambda: stack.redis.exists(lease), FINISH, "the lease")
        stack.redis.flushall()
        if restart:
            wait_until(lambda: stack.redis.exists("epoch"), FINISH, "the conductor to notice")
            stack.restart("conductor")
    wait_until(lambda: summary(stack, id)["counts"].get("running"), FINISH, "the stage to be seen running again")
    go.touch()
    assert finished(stack, id)["state"] == "succeeded"
    assert begun(stack)[held[2]] == 1
    (marker,) = read_markers(stack.store, attempts_prefix(held[2], held[2]))
    assert marker.outcome == "committed"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, set[str]]]:
    """What a run that nobody disturbs commits."""
    calm = Stack(tmp_path_factory.mktemp("calm"))
    try:
        calm.start_servers()
        start_all(calm, 0.0)
        assert finished(calm, submit(calm))["state"] == "succeeded"
        yield contents(calm)
    finally:
        calm.stop()


@pytest.mark.parametrize(
    "name",
    ["trainer", *map(slow, ("conductor", "valkey", "s3", "teacher", "critic", "inference", "analysis"))],
)
def test_a_killed_process_costs_nothing_once_it_is_back(
    stack: Stack, undisturbed: dict[str, set[str]], name: str
) -> None:
    start_all(stack)
    id = submit(stack)
    # A worker in the middle of a stage of its own; the rest in the middle of others'.
    wait_until(lambda: at_work(stack, name) and committed(stack, id, 8 if name in SERVERS else 0), FINISH, "work")
    before = bytes_of(stack)
    stack.kill(name)
    {"valkey": stack.start_valkey, "s3": stack.start_s3}.get(name, lambda: stack.start(name))()
    found = finished(stack, id)
    assert found["state"] == "succeeded"
    after = bytes_of(stack)
    assert {name: after[name] for name in before} == before
    assert contents(stack) == undisturbed
    repeated = [key for key, times in begun(stack).items() if times > 1]
    assert len(repeated) <= (0 if name in {"conductor", "valkey"} else 2)


@pytest.mark.slow
def test_two_workers_given_the_same_message_do_it_once(stack: Stack) -> None:
    start_workers(stack, 0.5)
    start_rival(stack, "teacher")
    stack.wait_ready("teacher-2")
    unit = Unit(key="ab" * 32, kind="prompts", params={})
    for _ in range(5):
        send_unit(stack.app, "prompts", unit.model_dump(mode="json"))
    wait_until(lambda: list(stack.store.list("commits/")), FINISH, "the commit")
    wait_until(lambda: stack.redis.llen("teacher") == 0, FINISH, "the queue to be empty")
    send_unit(stack.app, "prompts", unit.model_dump(mode="json"))
    wait_until(lambda: stack.redis.llen("teacher") == 0, FINISH, "the queue to be empty")
    assert len(stub_log(stack)) == 1
    assert len(list(stack.store.list("commits/"))) == 1


@pytest.mark.slow
def test_a_stopped_worker_that_is_overtaken_changes_no_committed_byte(stack: Stack) -> None:
    go = stack.folder / "go"
    stack.start("conductor", ["-m", "services.conductor"])
    start_workers(stack, 0.1, STUB_HOLD="pretrain", STUB_HOLD_UNTIL=str(go))
    id = submit(stack)
    held = holding(stack)
    stack.kill("trainer", signal.SIGSTOP)
    start_rival(stack, "trainer", STUB_HOLD="")
    assert finished(stack, id)["state"] == "succeeded"
    before = bytes_of(stack)
    go.touch()
    stack.kill("trainer", signal.SIGCONT)
    wait_until(lambda: "another worker has" in stack_logs(stack, held[2]), FINISH, "the overtaken one to see it")
    assert bytes_of(stack) == before


@pytest.mark.slow
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


@pytest.mark.slow
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
    go = str(stack.folder / "go")
    stack.start("trainer", ["-m", "tests.stubs.worker", "trainer"], STUB_HOLD="sft", STUB_HOLD_UNTIL=go)
    for _ in range(20):
        conductor.board.refresh(stack.redis, [unit.commit_key for unit in ready], stack.redis.get("epoch"))
        conductor.dispatcher.dispatch([unit.model_copy(update={"experiment": experiment.id}) for unit in ready])
        assert stack.redis.llen("trainer") <= 1000
    wait_until(lambda: stack.redis.llen("trainer") == 999, FINISH, "the worker to have one, and the queue the others")
    conductor.board.refresh(stack.redis, [unit.commit_key for unit in ready], stack.redis.get("epoch"))
    conductor.dispatcher.dispatch(ready)
    assert stack.redis.llen("trainer") == 999
