"""What a killed process costs: nothing that had been answered."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from shared.llm.claims import Claims
from shared.llm.entries import split_lines, unpack
from tests.integration.llm.asking import requests
from tests.integration.llm.traffic import asked_twice, start_simulator, traffic
from tests.stack import Stack
from tests.waiting import wait_until

ASKED = 400


def start_asking(stack: Stack, name: str) -> None:
    words = ["-m", "tests.integration.llm.asking", str(ASKED)]
    stack.start(name, words, TOUCHSTONE_REQUEST_CONCURRENCY="8")


def wait_finished(stack: Stack, name: str) -> str:
    wait_until(lambda: not stack.alive(name), 60, f"{name} to finish")
    assert stack.processes[name].returncode == 0, stack.log(name)
    return stack.log(name)


def kill_half_way(stack: Stack, name: str, log: Path, answers: int = ASKED // 3) -> float:
    """SIGKILL once so many answers came; returns when."""
    wait_until(lambda: len(traffic(log)) >= answers, 60, "the requests to be half done")
    killed = time.time()
    stack.kill(name)
    return killed


@pytest.mark.slow
def test_a_killed_process_that_starts_again_asks_no_answered_request_twice(stack: Stack) -> None:
    log = start_simulator(stack)
    start_asking(stack, "asking")
    killed = kill_half_way(stack, "asking", log)
    stack.start("asking")
    wait_finished(stack, "asking")
    assert asked_twice(log, killed) == []
    again = [count for count in Counter(line["hash"] for line in traffic(log)).values() if count > 1]
    assert len(again) <= 2 * 8
    assert httpx.get(f"http://127.0.0.1:{stack.simulator_port}/stats").json()["distinct"] == ASKED


@pytest.mark.slow
def test_a_rival_takes_over_at_once_what_a_killed_process_had_claimed(stack: Stack) -> None:
    log = start_simulator(stack)
    start_asking(stack, "asking-1")
    wait_until(lambda: len(traffic(log)) > 20, 60, "requests")
    start_asking(stack, "asking-2")
    killed = kill_half_way(stack, "asking-1", log)
    words = wait_finished(stack, "asking-2")
    assert "sent 0 of" not in words
    assert asked_twice(log, killed) == []


@pytest.mark.slow
def test_what_a_killed_process_left_on_disk_is_uploaded_even_if_the_store_was_away(stack: Stack) -> None:
    log = start_simulator(stack)
    start_asking(stack, "asking")
    wait_until(lambda: len(traffic(log)) > 20, 60, "requests")
    stack.kill("s3")
    killed = kill_half_way(stack, "asking", log)
    assert list((stack.settings.data_dir / "wal").glob("*/*.jsonl"))
    stack.start_s3()
    stack.start("asking")
    wait_finished(stack, "asking")
    assert asked_twice(log, killed) == []
    assert not list((stack.settings.data_dir / "wal").glob("**/*.*"))
    store = stack.store
    segments = [unpack(store.get(info.name)) for info in store.list("ledger/")]
    assert len({key for data in segments for key, _ in split_lines(data)}) == ASKED


@pytest.mark.slow
def test_without_the_store_answers_wait_on_disk_and_are_never_asked_again(stack: Stack) -> None:
    log = start_simulator(stack)
    start_asking(stack, "asking")
    wait_until(lambda: len(traffic(log)) > 20, 60, "requests")
    stack.kill("s3")
    wait_until(lambda: not stack.alive("asking"), 90, "the process to give up")
    assert "Outage: object store" in stack.log("asking")
    assert len(traffic(log)) == ASKED
    stack.start_s3()
    stack.start("asking")
    assert "sent 0 of 400" in wait_finished(stack, "asking")
    assert len(traffic(log)) == ASKED


@pytest.mark.slow
def test_a_broker_that_is_away_for_a_while_stops_nobody_in_the_middle(stack: Stack) -> None:
    log = start_simulator(stack)
    start_asking(stack, "asking")
    wait_until(lambda: len(traffic(log)) > 20, 60, "requests")
    stack.kill("valkey")
    wait_until(lambda: len(traffic(log)) > ASKED // 2, 60, "more requests")
    stack.start_valkey()
    assert "sent 400 of 400" in wait_finished(stack, "asking")
    assert set(Counter(line["hash"] for line in traffic(log)).values()) == {1}


def test_claims_of_the_living_are_respected_for_longer_than_any_request(stack: Stack, tmp_path: Path) -> None:
    first, second = Claims(stack.redis, tmp_path / "a"), Claims(stack.redis, tmp_path / "b")
    keys = {str(number) for number in range(len(requests(2500)))}
    nothing = lambda: None  # noqa: E731
    assert first.claim(keys, nothing) == keys
    assert second.claim(keys, nothing) == set()
    first.release(["1", "2"])
    assert second.claim(keys, nothing) == {"1", "2"}
    assert first.holds("3") and not first.holds("1")
    assert stack.redis.pttl("claim:3") > 300_000
    second.bury(first.owner)
    assert second.claim(keys, nothing) == keys - {"1", "2"}
    first.close(settled=True)
    assert second.claim(keys, nothing) == set()
    second.close(settled=True)
    assert stack.redis.exists(*(f"claim:{key}" for key in keys)) == 0
    assert list(tmp_path.glob("*/*.owner")) == []
