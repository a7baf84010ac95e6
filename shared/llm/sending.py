"""Sending a batch of requests: bounded concurrency, retries, and an end that loses no answer already paid for."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from shared.errors import Outage, PermanentError
from shared.llm.bucket import Why
from shared.llm.chat import Answer, ChatModel, ChatRequest, Closed, Refused, Unanswered
from shared.llm.limits import Limiter
from shared.llm.lines import Slot
from shared.llm.purse import Payment, Purse

T = TypeVar("T")

ATTEMPTS = 3
UNREACHABLE_SECONDS = 6.0
"""How long a broken connection is tried again before the stage waits instead."""
BUSY_SECONDS = 60.0
"""The same for an endpoint that answers, but only with 429 or 5xx."""
LONGEST_WAIT = 30.0
DRAIN_SECONDS = 90.0
"""How long requests in flight may still be answered after the end was called: what is not is paid for nothing."""
REASONS: dict[Why, str] = {
    "requests": "rate limit",
    "tokens": "token limit",
    "concurrency": "concurrency limit",
    "pace": "a pace learnt from the endpoint's 429s",
    "turn": "another experiment's turn",
    "pause": "a pause, since the endpoint said to slow down",
    "circuit": "a failing endpoint",
}


class Connection:
    """One endpoint as this process uses it: its client, its limiter, the seconds that a request may take, and whether
    it ever answered."""

    def __init__(self, name: str, chat: ChatModel, limiter: Limiter, timeout: float) -> None:
        self.name = name
        self.chat = chat
        self.limiter = limiter
        self.timeout = timeout
        self.proven = False


class Sending:
    """Sends `requests` (by key) and hands each answer to `keep` at once. All but `waits_for` runs on the event loop.

    `ready` says whether a paid request may be sent at this moment, `mine` whether this one still is ours to send;
    `tenant` is the experiment, which takes turns with others, and `purse` its money, where it has a budget.
    """

    def __init__(
        self,
        connection: Connection,
        requests: Mapping[str, ChatRequest],
        keep: Callable[[str, Answer], None],
        ready: Callable[[], bool],
        mine: Callable[[str], bool],
        label: Callable[[str], str],
        tenant: str = "",
        purse: Purse | None = None,
    ) -> None:
        self.answered = 0
        self._purse = purse
        self._tenant = tenant
        self._since = time.monotonic()
        self._lined_up: set[asyncio.Task[Any]] = set()
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
            BudgetSpent: there is no money for another request.
            Outage: it cannot be reached, or keeps saying that it is busy; or an answer could not be written.
        """
        if not self._connection.proven:
            # One request goes ahead alone: a wrong key is then refused once, not once for every worker.
            await self._work(1)
        if self._failure is None:
            tasks: list[asyncio.Task[None]] = []
            for _ in range(self._workers):
                tasks.append(asyncio.create_task(self._work()))
                # One a turn of the loop: begun in the same turn, they would be sent, answered and handled in one burst,
                # round after round.
                await asyncio.sleep(0)
            await self._finish(tasks)
        if self._failure is not None:
            raise self._failure

    def stop(self, reason: BaseException) -> None:
        """End early for this reason: nothing new is sent. On the event loop only."""
        self._failure = self._failure or reason
        self._ended.set()
        for task in self._lined_up:
            task.cancel()

    def waits_for(self) -> str | None:
        """What has kept this endpoint's requests waiting for some seconds, in words. From any thread."""
        if self._purse is not None and (note := self._purse.waits_for()):
            return note
        wait = self._connection.limiter.wait()
        if wait is None:
            return None
        return f"{REASONS[wait.why]}, models.{self._connection.name}: next slot in {max(1, round(wait.seconds))} s"

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
                except _Lost:
                    continue
                except Exception as error:  # raised by `run`
                    self.stop(error)
                    return
                self._connection.proven = True
                self.answered += 1
            if most is not None and (most := most - 1) == 0:
                return

    async def _ask(self, key: str, request: ChatRequest) -> Answer:
        send = self._pay if self._purse else self._once
        name = self._connection.name
        try:
            try:
                return await send(key, request)
            except Unanswered as error:
                return await self._retry(lambda: send(key, request), error)
        except (Unanswered, Closed) as error:
            raise Outage(f"models.{name}.{error.field}: {error}") from error
        except Refused as error:
            field = f"models.{name}.{error.field}" if error.field else f"models.{name}"
            raise PermanentError(f"{field}: {error} ({self._label(key)})") from error

    async def _retry(self, send: Callable[[], Awaitable[Answer]], failed: Unanswered) -> Answer:
        """Send again what failed once, until it is answered or patience ends."""
        # Not around the first attempt: tenacity looks its functions over at each call, a fifth of a request's CPU time.
        known = [failed]

        async def again() -> Answer:
            if known:
                raise known.pop()
            return await send()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unanswered), wait=_wait, stop=_Patience(), sleep=self._sleep, reraise=True
        )
        return await retrying(again)

    async def _pay(self, key: str, request: ChatRequest) -> Answer:
        """Send with money from the purse, taken before there is a slot, so that nobody waits for money with one."""
        assert self._purse is not None
        with (await self._in_line(self._purse.take(request))).held() as payment:
            answer = await self._once(key, request, payment)
            payment.settle(answer)
            return answer

    async def _once(self, key: str, request: ChatRequest, payment: Payment | None = None) -> Answer:
        while True:
            while not self._ready():
                await self._sleep(0.05)
                self._check()
            slot = await self._in_line(self._connection.limiter.acquire(request, self._tenant, self._since))
            with self._holding(slot):
                self._check()
                # Lease and claim may have run out in line; the slot then goes back unused.
                if not self._mine(key):
                    raise _Lost
                if not self._ready():
                    continue
                if payment is not None:
                    payment.begin()
                slot.sent = True
                try:
                    # The client's own timeouts are for each piece: a body that trickles would never end.
                    async with asyncio.timeout(self._connection.timeout):
                        slot.answer = await self._connection.chat.complete(request)
                except TimeoutError as error:
                    words = f"no whole answer within {self._connection.timeout:g} s"
                    raise Unanswered("base_url", words) from error
                return slot.answer

    async def _in_line(self, turn: Coroutine[Any, Any, T]) -> T:
        """What `turn` gives (a slot, money); the line is left when the end is called."""
        task = asyncio.current_task()
        assert task is not None
        if self._failure is not None:
            turn.close()
            raise _Ended
        self._lined_up.add(task)
        try:
            return await turn
        except asyncio.CancelledError:
            if self._failure is None:
                raise
            task.uncancel()
            raise _Ended from None
        finally:
            self._lined_up.discard(task)

    @contextmanager
    def _holding(self, slot: Slot) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._connection.limiter.release(slot, error)
            raise
        self._connection.limiter.release(slot, None)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or less when the end is called."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def _check(self) -> None:
        if self._failure is not None:
            raise _Ended


class _Ended(Exception):
    """The end was called before this request was sent."""


class _Lost(Exception):
    """The request is somebody else's by now."""


_busy = wait_random_exponential(multiplier=0.5, max=20)
_unreachable = wait_random_exponential(multiplier=0.25, max=2)


def _wait(state: RetryCallState) -> float:
    """Seconds before the next attempt: what the endpoint asked for, else longer and longer by chance."""
    error = _error(state)
    if error is not None and error.retry_after is not None:
        return min(max(error.retry_after, 0.0), LONGEST_WAIT) * random.uniform(1.0, 1.1)
    return float(_busy(state) if error is not None and error.reached else _unreachable(state))


class _Patience:
    """Whether to give up: after ATTEMPTS, and so many seconds after the first failure. Time in line does not count."""

    def __init__(self) -> None:
        self._failed: float | None = None

    def __call__(self, state: RetryCallState) -> bool:
        now, error = time.monotonic(), _error(state)
        self._failed = self._failed or now
        patience = BUSY_SECONDS if error is not None and error.reached else UNREACHABLE_SECONDS
        return state.attempt_number >= ATTEMPTS and now - self._failed > patience


def _error(state: RetryCallState) -> Unanswered | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Unanswered) else None
