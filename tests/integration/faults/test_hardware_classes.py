"""Trainings that need other hardware than there is: their stages say so, and go on when it comes."""

from __future__ import annotations

import pytest

from tests.integration.faults.stubbed import FINISH, finished, start_all, stub_log, submit, summary
from tests.stack import ROOT, Stack
from tests.waiting import wait_until

QUEUE = "trainer.2gpu"


@pytest.mark.slow
def test_a_training_that_no_worker_can_run_says_so_until_one_comes(stack: Stack) -> None:
    start_all(stack)
    id = submit(stack, policies__toy__hardware={"gpus": 2})
    row = wait_until(
        lambda: next((row for row in summary(stack, id)["stages"] if QUEUE in str(row["reason"])), None),
        FINISH,
        "a stage that waits for its hardware",
    )
    assert row is not None
    assert (row["kind"], row["state"]) == ("sft", "waiting")
    assert row["reason"] == f"no worker of class {QUEUE} is connected"
    assert summary(stack, id)["state"] == "running"

    log = str(stack.folder / "stub.log")
    two = stack.start("two", ["-m", "tests.stubs.worker", QUEUE, "1"], ROOT, STUB_LOG=log, STUB_SECONDS="0.1")
    found = finished(stack, id)
    assert found["state"] == "succeeded"
    assert not any(row["reason"] for row in found["stages"])
    trained = {line[1]: int(line[3]) for line in stub_log(stack) if line[1] in {"pretrain", "sft", "rl"}}
    assert trained == {"pretrain": stack.processes["trainer"].pid, "sft": two.pid, "rl": two.pid}
