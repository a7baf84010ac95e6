"""Valkey or the S3 server away, or refusing writes; a worker's disk full: stages wait, and nothing is done twice."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from shared import experiments
from tests.integration.faults.stubbed import (
    FINISH,
    away_for,
    begun,
    bytes_of,
    committed,
    contents,
    finished,
    holding,
    start_all,
    submit,
    summary,
)
from tests.stack import Stack
from tests.unit.specs import SPEC
from tests.waiting import wait_until


@pytest.mark.parametrize(
    "seconds", [0.5, pytest.param(3.0, marks=pytest.mark.slow), pytest.param(20.0, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_broker_that_was_away_brings_nothing_to_an_end(stack: Stack, seconds: float) -> None:
    start_all(stack, 0.5)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 6), FINISH, "six commits")
    stack.kill("valkey")
    away_for(seconds)
    stack.start_valkey()
    assert finished(stack, id)["state"] == "succeeded"
    assert set(begun(stack).values()) == {1}
    assert all(len(hashes) == 1 for hashes in contents(stack).values())


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_store_that_was_away_costs_only_the_wait(stack: Stack, seconds: float) -> None:
    go = stack.folder / "go"
    start_all(stack, 0.5, STUB_HOLD="pretrain", STUB_HOLD_UNTIL=str(go))
    id = submit(stack)
    held = holding(stack)
    before = bytes_of(stack)
    stack.kill("s3")
    go.touch()

    def state() -> dict[str, Any]:
        return next(stage for stage in summary(stack, id)["stages"] if stage["key"] == held[2])

    wait_until(lambda: state()["state"] == "waiting", FINISH, "the finished stage to wait for the store")
    assert "object store" in state()["reason"]
    away_for(seconds)
    stack.start_s3()
    assert finished(stack, id)["state"] == "succeeded"
    assert begun(stack)[held[2]] == 1
    after = bytes_of(stack)
    assert {name: after[name] for name in before} == before


def refuse_writes(stack: Stack, name: str, refused: bool) -> None:
    """Let a process write nothing to any file, as on a full disk, or let it write again."""
    most = 0 if refused else resource.RLIM_INFINITY
    resource.prlimit(stack.processes[name].pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reason"), [("s3", "object store"), ("trainer", "File too large")])
def test_refused_writes_make_stages_wait_until_there_is_room_again(stack: Stack, name: str, reason: str) -> None:
    start_all(stack, 0.1)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 1), FINISH, "a commit")
    refuse_writes(stack, name, True)
    waiting = wait_until(
        lambda: [stage for stage in summary(stack, id)["stages"] if stage["state"] == "waiting"],
        FINISH,
        "a stage to wait",
    )
    assert reason in waiting[0]["reason"]
    refuse_writes(stack, name, False)
    assert finished(stack, id)["state"] == "succeeded"


@pytest.mark.slow
def test_a_valkey_that_cannot_write_its_file_brings_nothing_to_an_end(stack: Stack) -> None:
    start_all(stack, 0.1)
    id = submit(stack)
    wait_until(lambda: committed(stack, id, 3), FINISH, "three commits")
    before = bytes_of(stack)
    refuse_writes(stack, "valkey", True)
    wait_until(lambda: refuses(stack), FINISH, "Valkey to refuse writes")
    refuse_writes(stack, "valkey", False)
    wait_until(lambda: revived(stack), FINISH, "Valkey to take writes again")

    def state() -> str:
        supervise(stack)
        return str(summary(stack, id)["state"])

    wait_until(lambda: state() != "running", FINISH, "the experiment to finish")
    assert state() == "succeeded"
    after = bytes_of(stack)
    assert {name: after[name] for name in before} == before


def refuses(stack: Stack) -> bool:
    try:
        stack.redis.set("written", 1)
    except redis.RedisError:
        return True
    return False


def revived(stack: Stack) -> bool:
    supervise(stack)
    return not refuses(stack)


def supervise(stack: Stack) -> None:
    """Start again whatever has exited, as the supervisor of `make up` does."""
    for name in list(stack.processes):
        if not stack.alive(name):
            stack.start(name)


@pytest.mark.slow
def test_an_api_that_is_killed_amid_a_post_leaves_one_experiment_when_it_is_posted_again(stack: Stack) -> None:
    start_all(stack, 0.0)
    stack.start("api")
    stack.wait_ready("api", 60)

    def post() -> httpx.Response:
        return httpx.post(f"{stack.api_url}/v1/experiments", json=SPEC, headers={"Idempotency-Key": "k"}, timeout=60)

    with ThreadPoolExecutor(1) as pool:
        cut_off = pool.submit(post)
        wait_until(lambda: cut_off.done() or list(stack.store.list("experiments/")), FINISH, "the post to be at work")
        stack.restart("api")
        cut_off.exception(60)
    stack.wait_ready("api", 60)
    answer = post()
    assert answer.is_success, answer.text
    assert list(experiments.experiment_ids(stack.store)) == [answer.json()["id"]]
    assert finished(stack, answer.json()["id"])["state"] == "succeeded"
