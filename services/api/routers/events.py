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
import redis.asyncio
import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, Header
from sse_starlette import EventSourceResponse

from services.api.deps import State, StateDep, Summary, caller
from services.api.feeds import FINAL, RETRY_S, Feed, encoded, newest
from services.api.problems import responses
from shared.errors import Outage
from shared.experiments import read_summary

log = structlog.get_logger()

EVENT_ID = re.compile(r"\d{1,20}-\d{1,20}")

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


async def _counted(state: State, id: str, last: str | None) -> AsyncIterator[bytes]:
    with state.metrics.streams.track_inprogress():
        async with state.feeds.of(id) as feed:
            async for chunk in _events(state, feed, last):
                yield chunk


async def _events(state: State, feed: Feed, last: str | None) -> AsyncIterator[bytes]:
    """Events until the experiment has ended; after an outage a snapshot says what was missed."""
    cursor: str | None = None
    while True:
        breaks = feed.breaks
        try:
            if cursor is None and last is not None:
                cursor, last = await _known(state.events, feed.id, last), None
            if cursor is None:
                cursor, found = await _snapshot(state, feed.id)
                yield encoded("snapshot", json.dumps(found), cursor)
                if found["state"] in FINAL:
                    yield _end(found["state"])
                    return
            while (entries := await feed.after(cursor, breaks)) is not None:
                for entry in entries:
                    yield entry.chunk
                    cursor = entry.id
                    if entry.state is not None:
                        yield _end(entry.state)
                        return
        except (redis.ConnectionError, redis.TimeoutError, Outage) as outage:
            log.warning("events.outage", experiment=feed.id, error=str(outage))
            await asyncio.sleep(RETRY_S)
        cursor = None


def _end(state: str) -> bytes:
    return encoded("end", json.dumps({"state": state}))


async def _known(client: redis.asyncio.Redis, id: str, last: str) -> str | None:
    """`last` if the stream still has it, so that nothing after it can be missing."""
    if not EVENT_ID.fullmatch(last) or any(int(part) >= 2**64 for part in last.split("-")):
        return None
    return last if await client.xrange(f"events:{id}", last, last, count=1) else None


async def _snapshot(state: State, id: str) -> tuple[str, dict[str, Any]]:
    """The stream's newest id, and the summary read after it: it holds all that came until then, or more."""
    cursor = await newest(state.events, id)
    summary = await to_thread.run_sync(read_summary, state.redis, state.store, id)
    if summary is None:
        raise Outage(f"object store: the experiment {id} is missing")
    return cursor, summary
