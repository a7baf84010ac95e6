"""/v1/experiments/{id}/events: an experiment's events as Server-Sent Events.

A client gets a snapshot and then deltas. The ids are those of the experiment's Redis stream: with a Last-Event-ID that
is still in the stream a client gets what came after it, with any other (or after Redis was wiped) a snapshot. `end` is
the last event, after which the server closes the stream.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import redis
import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, Header
from sse_starlette import EventSourceResponse, ServerSentEvent

from services.api.deps import State, StateDep, Summary, caller
from services.api.problems import responses
from shared.errors import Outage
from shared.experiments import read_summary

log = structlog.get_logger()

FINAL = frozenset({"succeeded", "failed", "cancelled"})
EVENT_ID = re.compile(r"\d{1,20}-\d{1,20}")
EMPTY = "0-0"
BLOCK_MS = 5_000
RETRY_S = 0.5

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`snapshot`: the experiment as GET gives it. `update`: its fields, and the stages that changed. "
        "`metrics`: a row of a training curve. `end`: it has ended.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'id: 1764012345678-0\nevent: snapshot\ndata: {"id": "…", "state": "running"}\n\n',
            }
        },
    },
    **responses(401, 404, 503),
}


@router.get("/{id}/events", response_class=EventSourceResponse, responses=DOCUMENTED)
async def stream_events(
    summary: Summary, state: StateDep, last_event_id: Annotated[str | None, Header()] = None
) -> EventSourceResponse:
    """Follow an experiment: a snapshot, then deltas until it ends. Last-Event-ID resumes."""
    return EventSourceResponse(_counted(state, summary["id"], last_event_id), ping=15)


async def _counted(state: State, id: str, last: str | None) -> AsyncIterator[ServerSentEvent]:
    with state.metrics.streams.track_inprogress():
        async for event in _events(state, id, last):
            yield event


async def _events(state: State, id: str, last: str | None) -> AsyncIterator[ServerSentEvent]:
    """Events until the experiment has ended; an outage is waited out and followed by a snapshot."""
    cursor: str | None = None
    block = 1
    while True:
        try:
            if cursor is None and last is not None:
                cursor, last = await _known(state.events, id, last), None
            if cursor is None:
                cursor, found = await _snapshot(state, id)
                yield _event("snapshot", json.dumps(found), cursor)
                if found["state"] in FINAL:
                    yield _event("end", json.dumps({"state": found["state"]}))
                    return
            entries = await _read(state.events, id, cursor, block)
            block = BLOCK_MS
            for cursor, name, text in entries:
                yield _event(name, text, cursor)
                if name == "update" and (state_now := _final(text)):
                    yield _event("end", json.dumps({"state": state_now}))
                    return
            if not entries and await _is_stale(state, id, cursor):
                cursor = None
        except (redis.ConnectionError, redis.TimeoutError, Outage) as outage:
            log.warning("events.outage", experiment=id, error=str(outage))
            cursor = None
            await asyncio.sleep(RETRY_S)


async def _known(client: redis.asyncio.Redis, id: str, last: str) -> str | None:
    """`last` if the stream still has it, so that nothing after it can be missing."""
    if not EVENT_ID.fullmatch(last) or any(int(part) >= 2**64 for part in last.split("-")):
        return None
    return last if await client.xrange(f"events:{id}", last, last, count=1) else None


async def _snapshot(state: State, id: str) -> tuple[str, dict[str, Any]]:
    """The stream's newest id, and the summary read after it: it holds all that came until then, or more."""
    newest = await state.events.xrevrange(f"events:{id}", count=1)
    summary = await to_thread.run_sync(read_summary, state.redis, state.store, id)
    if summary is None:
        raise Outage(f"object store: the experiment {id} is missing")
    return (newest[0][0].decode() if newest else EMPTY), summary


async def _read(client: redis.asyncio.Redis, id: str, cursor: str, block: int) -> list[tuple[str, str, str]]:
    """Entries' ids, names and data. The data stay JSON as they are: each event goes to every listener."""
    found = await client.xread({f"events:{id}": cursor}, count=500, block=block)
    return [
        (entry.decode(), fields[b"event"].decode(), fields[b"data"].decode())
        for _, entries in found or []
        for entry, fields in entries
    ]


async def _is_stale(state: State, id: str, cursor: str) -> bool:
    """Whether a quiet stream is one that was wiped, or one whose end was not heard."""
    if cursor != EMPTY and not await state.events.exists(f"events:{id}"):
        return True
    summary = await to_thread.run_sync(read_summary, state.redis, state.store, id)
    return summary is not None and summary["state"] in FINAL


def _final(update: str) -> str | None:
    """The experiment's state in an update if it is a final one; parsed only where some state in it is."""
    if not any(f'"{state}"' in update for state in FINAL):
        return None
    state: str | None = json.loads(update).get("state")
    return state if state in FINAL else None


def _event(name: str, data: str, id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data, event=name, id=id, sep="\n")
