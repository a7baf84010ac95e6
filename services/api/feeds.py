"""Following experiments' event streams in Redis: each is read once, whatever number of browsers listens.

A connection to Redis for every listener would end at the pool's limit, and parse every event as often as it is sent.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import redis
import redis.asyncio
import structlog
from anyio import to_thread

from shared.errors import Outage
from shared.experiments import EVENTS_KEPT, read_summary
from shared.store import ObjectStore

log = structlog.get_logger()

FINAL = frozenset({"succeeded", "failed", "cancelled"})
EMPTY = "0-0"
BLOCK_MS = 5_000
RETRY_S = 0.5
Place = tuple[int, int]


@dataclass(frozen=True)
class Entry:
    """One event as it is sent. `state` is the experiment's where the event says that it has ended."""

    id: str
    place: Place
    chunk: bytes
    state: str | None


def place(id: str) -> Place:
    """What a stream's ids are ordered by."""
    time, _, number = id.partition("-")
    return int(time), int(number)


def encoded(name: str, text: str, id: str | None = None) -> bytes:
    """An event on the wire. JSON has no line breaks of its own."""
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {name}\ndata: {text}\n\n".encode()


def ended(update: str) -> str | None:
    """The experiment's state in an update if it is a final one; parsed only where some state in it is."""
    if not any(f'"{state}"' in update for state in FINAL):
        return None
    state: str | None = json.loads(update).get("state")
    return state if state in FINAL else None


async def read(client: redis.asyncio.Redis, id: str, cursor: str, block: int) -> list[Entry]:
    """The entries after a cursor; waits for the first `block` milliseconds at most."""
    found = await client.xread({f"events:{id}": cursor}, count=500, block=block)
    entries = []
    for _, rows in found or []:
        for row, fields in rows:
            name, text, at = fields[b"event"].decode(), fields[b"data"].decode(), row.decode()
            entries.append(Entry(at, place(at), encoded(name, text, at), ended(text) if name == "update" else None))
    return entries


async def newest(client: redis.asyncio.Redis, id: str) -> str:
    """The id of a stream's last entry."""
    found = await client.xrevrange(f"events:{id}", count=1)
    return str(found[0][0].decode()) if found else EMPTY


@dataclass
class Feed:
    """One experiment's events since `start`. `breaks` counts the times after which nobody knows what was missed."""

    id: str
    client: redis.asyncio.Redis
    redis: redis.Redis
    store: ObjectStore
    start: str = EMPTY
    breaks: int = 0
    listeners: int = 0
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _last: Place = (0, 0)

    async def after(self, cursor: str, breaks: int) -> list[Entry] | None:
        """The entries after a cursor, once there are any; None where the listener needs a snapshot. Raises redis
        errors."""
        mine = place(cursor)
        while self.breaks == breaks and self._last <= mine:
            await self._news.wait()
        if self.breaks != breaks:
            return None
        first = self.entries[0].place if len(self.entries) == EVENTS_KEPT else place(self.start)
        if mine < first:
            return await read(self.client, self.id, cursor, 1) or None
        found = []
        for entry in reversed(self.entries):
            if entry.place <= mine:
                break
            found.append(entry)
        return found[::-1]

    async def follow(self) -> None:
        """Read until it is cancelled; an outage, or a stream that was wiped, is a break."""
        cursor: str | None = None
        while True:
            try:
                if cursor is None:
                    cursor = await newest(self.client, self.id)
                    self._begin(cursor)
                entries = await read(self.client, self.id, cursor, BLOCK_MS)
                for entry in entries:
                    self.entries.append(entry)
                    cursor, self._last = entry.id, entry.place
                if entries:
                    self._tell()
                elif await self._is_stale(cursor):
                    self._break()
                    cursor = None
            except (redis.ConnectionError, redis.TimeoutError, Outage) as outage:
                log.warning("events.outage", experiment=self.id, error=str(outage))
                self._break()
                cursor = None
                await asyncio.sleep(RETRY_S)

    def _begin(self, cursor: str) -> None:
        self.entries.clear()
        self.start, self._last = cursor, place(cursor)
        self._tell()

    def _break(self) -> None:
        self.breaks += 1
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _is_stale(self, cursor: str) -> bool:
        """Whether a quiet stream is one that was wiped, or one whose end was not heard."""
        if cursor != EMPTY and not await self.client.exists(f"events:{self.id}"):
            return True
        summary = await to_thread.run_sync(read_summary, self.redis, self.store, self.id)
        return summary is not None and summary["state"] in FINAL


@dataclass
class Feeds:
    """The feeds that somebody listens to."""

    client: redis.asyncio.Redis
    redis: redis.Redis
    store: ObjectStore
    _open: dict[str, tuple[Feed, asyncio.Task[None]]] = field(default_factory=dict)

    @asynccontextmanager
    async def of(self, id: str) -> AsyncIterator[Feed]:
        """An experiment's feed, which ends with its last listener."""
        if id not in self._open:
            feed = Feed(id, self.client, self.redis, self.store)
            self._open[id] = feed, asyncio.create_task(feed.follow(), name=f"events of {id}")
        feed, task = self._open[id]
        feed.listeners += 1
        try:
            yield feed
        finally:
            feed.listeners -= 1
            if not feed.listeners:
                del self._open[id]
                task.cancel()
