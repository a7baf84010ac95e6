"""What goes wrong at an endpoint, with real processes on both sides: retries, refusals, deadlines, outages."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from shared.llm.entries import Entry, split_lines, unpack
from tests.integration.faults.stubbed import submit, summary
from tests.integration.llm.traffic import traffic
from tests.provider import start_provider
from tests.stack import Stack
from tests.waiting import wait_until

FAULTS = ("429", "500", "overloaded", "drop_before", "drop_during", "truncated_json", "slow_body")


def asking(stack: Stack, name: str, count: int, *options: str) -> str:
    """What a process says that asks so many requests until it ends."""
    words = ["-m", "tests.integration.llm.asking", str(count), *options]
    stack.start(name, words, TOUCHSTONE_REQUEST_CONCURRENCY="16")
    wait_until(lambda: not stack.alive(name), 150, f"{name} to end")
    return stack.log(name)


def entries(stack: Stack) -> list[Entry]:
    """All entries of all segments."""
    store = stack.store
    lines = [split_lines(unpack(store.get(info.name))) for info in store.list("ledger/")]
    return [Entry.from_line(line) for segment in lines for _, line in segment]


@pytest.mark.slow
def test_whatever_goes_wrong_on_the_way_every_request_is_answered_and_no_error_kept(stack: Stack) -> None:
    # It begins with a storm of 429s that say nothing of when to come again.
    faults = {"attempts": 1, "retry_after_s": None, "storm_every_s": 3600, "storm_s": 1, "slow_body_s": 0.5}
    provider = start_provider(stack, json.dumps(faults | {f"rate_{fault}": 0.06 for fault in FAULTS}))
    assert "sent 150 of 150" in asking(stack, "asking", 150)
    stats = provider.stats()
    assert (stats["distinct"], stats["asked_again"]) == (150, 0)
    assert stats["refused"] > 20 and stats["max_repeats"] == 2
    found = entries(stack)
    assert len({entry.key for entry in found}) == len(found) == 150
    assert {entry.answer.finish_reason for entry in found} == {"stop"} and all(entry.answer.text for entry in found)


@pytest.mark.slow
def test_a_body_that_trickles_is_given_up_and_asked_for_again(stack: Stack) -> None:
    faults = {"attempts": 1, "rate_slow_body": 1, "slow_body_s": 4, "match": "Reverse"}
    provider = start_provider(stack, json.dumps(faults))
    began = time.monotonic()
    assert "sent 40 of 40" in asking(stack, "asking", 40, "--timeout", "1")
    assert time.monotonic() - began < 30
    assert provider.stats()["abandoned"] > 0


def test_a_refusal_ends_the_work_after_one_request_in_the_providers_words(stack: Stack) -> None:
    provider = start_provider(stack)
    log = asking(stack, "asking", 200, "--model", "nobody")
    assert stack.processes["asking"].returncode == 1
    assert "PermanentError: models.teacher.model: 404: " in log and "there is no simulated model 'nobody'" in log
    assert provider.stats()["requests"] == 1


def waiting(stack: Stack, id: str) -> list[dict[str, Any]]:
    return [row for row in summary(stack, id)["stages"] if row["kind"] == "teach" and row["state"] == "waiting"]


def states(stack: Stack, id: str) -> set[str]:
    return {row["state"] for row in summary(stack, id)["stages"] if row["kind"] == "teach"}


def arrivals(stack: Stack, since: float) -> list[float]:
    """When requests to one of the models came."""
    lines = [line for line in traffic(stack.folder / "traffic.jsonl") if "accuracy=0.9" in line["model"]]
    return sorted(line["arrived"] for line in lines if line["arrived"] > since)


def told(stack: Stack, id: str) -> str:
    """All events of an experiment, as one text."""
    events: Any = stack.redis.xrange(f"events:{id}")
    return json.dumps([fields[b"data"].decode() for _, fields in events])


@pytest.mark.slow
def test_replicas_leave_a_failing_endpoint_alone_say_so_and_go_on_by_themselves(stack: Stack) -> None:
    provider = start_provider(stack, json.dumps({"rate_500": 1}))
    for name in ("conductor", "teacher-1"):
        stack.start(name)
    id = submit(stack)
    down = "500: The server had an error while processing your request. (down for "
    wait_until(lambda: any(down in row["reason"] for row in waiting(stack, id)), 60, "the outage to be said")
    wait_until(lambda: down in told(stack, id), 10, "an event that says so")
    # One that never saw it fail asks no more than the others.
    stack.start("teacher-2", TOUCHSTONE_DATA_DIR=str(stack.folder / "other"))
    stack.wait_ready("teacher-2")
    ready = time.time()
    wait_until(lambda: len(arrivals(stack, ready)) >= 3, 60, "three probes", every=0.2)
    first, second, third = arrivals(stack, ready)[:3]
    # One every 5 seconds, give or take a quarter, from both of them together.
    assert second - first > 2.5 and third - second > 2.5
    provider.set(rate_500=0, latency_ms=300)
    behaved = time.time()
    wait_until(lambda: states(stack, id) == {"committed"}, 60, "the stages to go on")
    assert provider.stats()["asked_again"] == 0
    # The first that is let through goes alone; the others follow when it was answered.
    first, second = arrivals(stack, behaved)[:2]
    assert second - first >= 0.25
