"""Events over real HTTP with real workers: complete, resumable, not ended by a wiped Redis or a killed API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from touchstone_client import Client, Event
from touchstone_client.events import apply

from shared.experiments import add_event
from shared.kinds import QUEUES
from tests.integration.api.conftest import start_api
from tests.stack import Stack
from tests.unit.specs import spec_with


def start_workers(stack: Stack, seconds: float) -> None:
    for queue in QUEUES:
        stack.start(queue, ["-m", "tests.stubs.worker", queue, "2"], STUB_SECONDS=str(seconds))


@pytest.fixture
def running(stack: Stack) -> Iterator[Client]:
    """A test's own API, conductor and stub workers, all to be killed at will."""
    start_api(stack)
    start_workers(stack, 0.1)
    with Client(stack.api_url) as client:
        yield client


@contextmanager
def stream(http: httpx.Client, id: str, last: str | None = None) -> Iterator[Iterator[Any]]:
    headers = {"Last-Event-ID": last} if last else {}
    with connect_sse(http, "GET", f"/v1/experiments/{id}/events", headers=headers) as source:
        yield source.iter_sse()


def add_up(events: list[Event]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for event in events:
        summary = apply(summary, event)
    return summary


def test_a_snapshot_then_deltas_until_the_end(running: Client) -> None:
    id = running.submit(spec_with())["id"]
    events = list(running.events(id))
    names = [event.name for event in events]
    assert names[0] == "snapshot" and names[-1] == "end" and set(names[1:-1]) == {"update"}
    assert len({event.id for event in events[:-1]}) == len(events) - 1
    assert add_up(events) == running.get(id)
    assert add_up(events)["state"] == "succeeded"
    # Deltas are deltas: on the whole an event tells few of the stages.
    told = sum(len(event.data["stages"]) for event in events[1:-1])
    assert told < len(events) * len(running.get(id)["stages"]) / 2
    assert running.report(id) is None


@pytest.mark.slow
def test_last_event_id_resumes_without_a_gap(running: Client, stack: Stack) -> None:
    id = running.submit(spec_with())["id"]
    events: list[Event] = []
    while not events or events[-1].name != "end":
        # Leave after every fifth event and come back.
        for seen, event in enumerate(running.events(id, events[-1].id if events else None)):
            events.append(event)
            if seen == 4:
                break
    # Whoever comes back when all is over may be told the end as a snapshot.
    snapshots = [event for event in events[1:] if event.name == "snapshot"]
    assert all(event.data["state"] == "succeeded" for event in snapshots)
    assert add_up(events) == running.get(id)


def test_an_unknown_id_gets_a_snapshot(place: Stack, client: Client, http: httpx.Client) -> None:
    id = client.submit(spec_with(name="unknown"))["id"]
    for last in ("1-1", "99999999999999-0", "nonsense", "0-0", "18446744073709551616-0"):
        with stream(http, id, last) as events:
            assert next(events).event == "snapshot", last


def test_a_known_id_gets_what_came_after_it(place: Stack, client: Client, http: httpx.Client) -> None:
    id = client.submit(spec_with(name="known"))["id"]
    add_event(place.redis, id, "metrics", {"number": 0})
    last = place.redis.xrevrange(f"events:{id}", count=1)[0][0].decode()
    for number in (1, 2):
        add_event(place.redis, id, "metrics", {"number": number})
    heard: list[Any] = []
    with stream(http, id, last) as events:
        while len([event for event in heard if event.event == "metrics"]) < 2:
            heard.append(next(events))
    # The conductor may have told its updates in between.
    assert {event.event for event in heard} <= {"metrics", "update"}
    assert [event.json() for event in heard if event.event == "metrics"] == [{"number": 1}, {"number": 2}]


@pytest.mark.slow
def test_redis_may_be_wiped_while_one_listens(running: Client, stack: Stack) -> None:
    id = running.submit(spec_with())["id"]
    events: list[Event] = []
    for event in running.events(id):
        events.append(event)
        if len(events) in {3, 9}:
            stack.redis.flushall()
    assert add_up(events)["state"] == "succeeded"
    assert add_up(events) == running.get(id)


@pytest.mark.slow
def test_api_and_valkey_may_be_killed_while_one_listens(running: Client, stack: Stack) -> None:
    id = running.submit(spec_with())["id"]
    events: list[Event] = []
    for event in running.events(id):
        events.append(event)
        if len(events) == 3:
            stack.restart("api")
        if len(events) == 6:
            stack.kill("valkey")
            stack.start_valkey()
    assert add_up(events)["state"] == "succeeded"
    assert add_up(events) == running.get(id)


def test_open_streams_do_not_keep_the_api_from_ending(stack: Stack) -> None:
    start_api(stack)
    with Client(stack.api_url) as client, httpx.Client(base_url=stack.api_url) as http:
        id = client.submit(spec_with())["id"]
        with stream(http, id) as events:
            next(events)
            stack.processes["api"].terminate()
            assert stack.processes["api"].wait(10) is not None
