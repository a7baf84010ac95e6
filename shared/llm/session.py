"""What a process that calls LLMs has once: an event loop in a thread of its own, open connections, and the ledger."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import redis
from ulid import ULID

from shared.canonical import canonical_json
from shared.llm.batching import Batching
from shared.llm.bucket import Bucket, bucket_name
from shared.llm.chat import TellsRates, endpoint_of
from shared.llm.credentials import ENV
from shared.llm.endpoints import Endpoint
from shared.llm.ledger import Ledger
from shared.llm.limits import SharedLimiter
from shared.llm.providers import PROVIDERS
from shared.llm.providers.base import Limits
from shared.llm.purses import Purses
from shared.llm.sending import Connection
from shared.settings import Settings
from shared.store import ObjectStore

T = TypeVar("T")


class Session:
    """Thread-safe: every unit of the process sends on the same loop, through the same connections and limiters."""

    def __init__(self, settings: Settings, store: ObjectStore, client: redis.Redis) -> None:
        # It logs a line for every request.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        self.settings = settings
        self.ledger = Ledger(store, client, settings.data_dir)
        self.batches = Batching(settings, store, client, self.ledger)
        self._connections: dict[tuple[bytes, Endpoint], Connection] = {}
        self._redis = client
        self._limiters: dict[tuple[str, Limits], SharedLimiter] = {}
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm", daemon=True)
        self._thread.start()
        self.purses = Purses(store, client, settings.data_dir, self._loop, self.ledger.flush)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the session's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call_soon(self, callback: Any, *args: Any) -> None:
        self._loop.call_soon_threadsafe(callback, *args)

    async def connection(self, identity: Mapping[str, Any], endpoint: Endpoint) -> Connection:
        """The connection to the model of this identity, opened at its first use. Raises `BadInput`."""
        place = (canonical_json(identity), endpoint)
        if place not in self._connections:
            chat = PROVIDERS[identity["provider"]].connect(identity, endpoint, self.settings)
            limiter = self._limiter(identity, endpoint)
            if isinstance(chat, TellsRates):
                chat.on_rates = limiter.heard
            if not self._connections:
                # A provider's client is hundreds of thousands of objects that stay. Looked through by each full
                # collection, they would stop the loop for a tenth of a second in the midst of the sending.
                gc.freeze()
            self._connections[place] = Connection(endpoint.name, chat, limiter, endpoint.timeout)
        return self._connections[place]

    def _limiter(self, identity: Mapping[str, Any], endpoint: Endpoint) -> SharedLimiter:
        """One for each endpoint, model and key, whatever the model's name in a spec and its sampling."""
        address = identity.get("base_url", self.settings.simulator_url)
        value = os.environ.get((endpoint.api_key or "").removeprefix(ENV), "")
        salt = self.settings.s3_secret_key.get_secret_value()
        name = bucket_name(endpoint_of(identity), address, endpoint.api_key, value, salt)
        place = (name, endpoint.limits)
        if place not in self._limiters:
            concurrency = endpoint.limits.concurrency or self.settings.request_concurrency
            bucket = Bucket(self._redis, name, endpoint.limits, str(ULID()))
            self._limiters[place] = SharedLimiter(bucket, concurrency)
        return self._limiters[place]

    def close(self) -> None:
        """Close connections and ledger; nothing may be in flight."""
        self.purses.end()
        self.start(self._disconnect()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.ledger.close()

    async def _disconnect(self) -> None:
        for limiter in self._limiters.values():
            await limiter.aclose()
        for connection in self._connections.values():
            await connection.chat.aclose()


_sessions: dict[str, Session] = {}
_lock = threading.Lock()


def process_session(settings: Settings, store: ObjectStore, client: redis.Redis) -> Session:
    """This process's session for the data folder of `settings`, made at the first call."""
    with _lock:
        place = str(settings.data_dir)
        if place not in _sessions:
            _sessions[place] = Session(settings, store, client)
        return _sessions[place]


def close_sessions() -> None:
    """Close what `process_session` made."""
    with _lock:
        while _sessions:
            _sessions.popitem()[1].close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
