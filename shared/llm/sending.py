"""Sending a batch of requests: bounded concurrency, retries, and an end that loses no answer already paid for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from shared.errors import Outage, PermanentError
from shared.llm.chat import Answer, ChatModel, ChatRequest, Refused, Unanswered
from shared.llm.limits import Limiter

ATTEMPTS = 3
UNREACHABLE_SECONDS = 6.0
"""How long a broken connection is tried again before the stage waits instead."""
BUSY_SECONDS = 60.0
"""The same for an endpoint that answers, but only with 429 or 5xx."""
LONGEST_WAIT = 30.0
DRAIN_SECONDS = 20.0
"""How long requests in flight may still be answered after the end was called."""


class Connection:
    """One endpoint as this process uses it: its client, its limiter, and whether it ever answered."""

    def __init__(self, name: str, chat: ChatModel, limiter: Limiter) -> None:
        self.name = name
        self.chat = chat
        self.limiter = limiter
        self.proven = False


class Sending:
    """Sends `requests` (by their key) and hands each answer to `keep` at once. All but `stop` runs on the event loop.

    `ready` says whether a paid request may be sent at this moment, `mine` whether this one still is ours to send.
    """

    def __init__(
        self,
        connection: Connection,
        requests: Mapping[str, ChatRequest],
        keep: Callable[[str, Answer], None],
        ready: Callable[[], bool],
        mine: Callable[[str], bool],
        label: Callable[[str], str],
    ) -> None:
        self.answered = 0
        self._connection = connection
        self._queue: Iterator[tuple[str, ChatRequest]] = iter(requests.items())
        self._workers = min(len(requests), connection.limiter.concurrency)
        self._keep = keep
        self._ready = ready
        self._mine = mine
        self._label = label
        self._failure: BaseException | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Send everything; raise the first failure, after what was in flight has come in.

        Raises:
            PermanentError: the endpoint refused a request, in its own words.
            Outage: it cannot be reached, or keeps saying that it is busy; or an answer could not be written.
        """
        if not self._connection.proven:
            # One request goes ahead alone: a wrong key is then refused once, not once for every worker.
            await self._work(1)
        if self._failure is None:
            tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
            await self._finish(tasks)
        if self._failure is not None:
            raise self._failure

    def stop(self, reason: BaseException) -> None:
        """End early for this reason: nothing new is sent. On the event loop only."""
        self._failure = self._failure or reason
        self._ended.set()

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        ended = asyncio.create_task(self._ended.wait())
        working = asyncio.gather(*tasks)
        both: list[asyncio.Future[Any]] = [ended, working]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not working.done():
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
        with suppress(asyncio.CancelledError):
            await working

    async def _work(self, most: int | None = None) -> None:
        """Send one request after the other, `most` at most."""
        for key, request in self._queue:
            if self._failure is not None:
                return
            if self._mine(key):
                try:
                    self._keep(key, await self._ask(key, request))
                except _Ended:
                    return
                except Exception as error:  # raised by `run`
                    self.stop(error)
                    return
                self._connection.proven = True
                self.answered += 1
            if most is not None and (most := most - 1) == 0:
                return

    async def _ask(self, key: str, request: ChatRequest) -> Answer:
        name = self._connection.name
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unanswered), wait=_wait, stop=_give_up, sleep=self._sleep, reraise=True
        )
        try:
            return await retrying(self._once, request)
        except Unanswered as error:
            raise Outage(f"models.{name}.{error.field}: {error}") from error
        except Refused as error:
            field = f"models.{name}.{error.field}" if error.field else f"models.{name}"
            raise PermanentError(f"{field}: {error} ({self._label(key)})") from error

    async def _once(self, request: ChatRequest) -> Answer:
        while not self._ready():
            await self._sleep(0.05)
            self._check()
        async with self._connection.limiter.slot(request) as slot:
            self._check()
            answer = await self._connection.chat.complete(request)
            slot.settle(answer)
            return answer

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or less when the end is called."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _check(self) -> None:
        if self._failure is not None:
            raise _Ended


class _Ended(Exception):
    """The end was called before this request was sent."""


_busy = wait_random_exponential(multiplier=0.5, max=20)
_unreachable = wait_random_exponential(multiplier=0.25, max=2)


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt: what the endpoint asked for, else longer and longer by chance."""
    error = _error(state)
    if error is not None and error.retry_after is not None:
        return min(max(error.retry_after, 0.0), LONGEST_WAIT)
    return float(_busy(state) if error is not None and error.reached else _unreachable(state))


def _give_up(state: RetryCallState) -> bool:
    error = _error(state)
    patience = BUSY_SECONDS if error is not None and error.reached else UNREACHABLE_SECONDS
    return state.attempt_number >= ATTEMPTS and time.monotonic() - state.start_time > patience


def _error(state: RetryCallState) -> Unanswered | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Unanswered) else None
