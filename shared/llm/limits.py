"""Limits: how fast an endpoint may be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from shared.llm.chat import Answer, ChatRequest


@dataclass
class Slot:
    """The right to send one request. `settle` says what it used in the end."""

    answer: Answer | None = None

    def settle(self, answer: Answer) -> None:
        self.answer = answer


class Limiter(Protocol):
    """Says when a request may be sent. One for each endpoint and key; used on one event loop."""

    concurrency: int
    """Requests that may be in flight at once."""

    def slot(self, request: ChatRequest) -> AbstractAsyncContextManager[Slot]:
        """Wait until the request may be sent; it is in flight until the context ends."""


class ConcurrencyLimiter:
    """Bounds the requests in flight of this process, and nothing else."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._free = asyncio.Semaphore(concurrency)

    @asynccontextmanager
    async def slot(self, request: ChatRequest) -> AsyncIterator[Slot]:
        async with self._free:
            yield Slot()
