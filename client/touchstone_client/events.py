"""An experiment's events over Server-Sent Events, and what they add up to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from touchstone_client.errors import Unreachable, problem_error

FINAL = frozenset({"succeeded", "failed", "cancelled"})
# The server pings every 15 s, so silence of this length means a dead connection.
SILENCE = httpx.Timeout(10, read=45)
FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0


@dataclass(frozen=True)
class Event:
    """`snapshot` (the whole experiment), `update` (what changed), `metrics` (a row of a training curve) or `end`."""

    name: str
    data: dict[str, Any]
    id: str


def follow(http: httpx.Client, path: str, last_id: str | None, patience: float) -> Iterator[Event]:
    """Events until the experiment ends; a broken connection is made again from the last event on.

    Raises:
        Unreachable: there was no connection for `patience` seconds.
        ProblemError: the server refuses (unknown experiment, wrong token).
    """
    wait, lost_at = FIRST_WAIT, time.monotonic()
    while True:
        problem = "the server closed the stream"
        try:
            for event in _connection(http, path, last_id):
                wait, lost_at = FIRST_WAIT, time.monotonic()
                last_id = event.id or last_id
                yield event
                if event.name == "end":
                    return
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
        if time.monotonic() - lost_at > patience:
            raise Unreachable(f"no connection to {http.base_url} for {patience:.0f} s: {problem}")
        time.sleep(wait)
        wait = min(LONGEST_WAIT, wait * 2)


def _connection(http: httpx.Client, path: str, last_id: str | None) -> Iterator[Event]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with connect_sse(http, "GET", path, headers=headers, timeout=SILENCE) as source:
        if source.response.status_code >= 500:
            raise httpx.RemoteProtocolError(f"the server answered {source.response.status_code}")
        if source.response.status_code >= 400:
            source.response.read()
            raise problem_error(source.response)
        for sent in source.iter_sse():
            # After a first id, httpx-sse takes the server's pings for events without data.
            if sent.data:
                yield _event(sent)


def _event(sent: ServerSentEvent) -> Event:
    data = json.loads(sent.data)
    return Event(sent.event, data if isinstance(data, dict) else {"value": data}, sent.id)


def apply(summary: Mapping[str, Any], event: Event) -> dict[str, Any]:
    """The experiment after an event: an update's fields replace the old ones, its stages those with the same key."""
    if event.name == "snapshot":
        return event.data
    if event.name != "update":
        return dict(summary)
    changed = {stage["key"]: stage for stage in event.data.get("stages", [])}
    stages = [changed.pop(stage["key"], stage) for stage in summary.get("stages", [])]
    return {**summary, **event.data, "stages": [*stages, *changed.values()]}
