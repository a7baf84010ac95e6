"""A purse: the money that one attempt may spend, asked for in parts.

Before a request is sent its upper bound is taken from what was granted, and when its answer is in it is settled to what
that cost. A request that may have been answered all the same (a timeout, a connection that broke, a process that died)
stays spent in full. Each payment is in a local file before the request leaves, so that the purse of a killed process is
closed by another of its host with what it can have spent at most; a lost host's grants count in full for ever.
An endpoint whose answers cost more than their bounds is believed no longer: later bounds grow with the dearest answer.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from shared.budget import NANO, Ask, BudgetSpent
from shared.llm.chat import Answer, ChatRequest, Refused, Unanswered
from shared.llm.providers.base import Price
from shared.llm.pursefile import Owner, PurseFile

log = structlog.get_logger()

REPEAT = 0.5
"""Seconds after which a question is asked again: Redis may have lost it, or the answer."""
STALE = 3.0
"""Seconds after which another question takes its place."""
WORD = 1.0
"""Seconds between two words that the purse is in use."""
SOON = 1.0
WINDOWS = 32
"""A window is what all requests in flight may cost, twice; it grows to so many of it where requests are quick."""
PER_MESSAGE = 16
"""Tokens that a chat template may add to a message. Of a text's own tokens there are at most as many as bytes."""


def bound_of(request: ChatRequest, price: Price, most_tokens: int) -> int:
    """What a request costs at most, in nanodollars; `most_tokens` where it does not bound its answer itself."""
    size = sum(len(message["content"].encode(errors="surrogatepass")) + PER_MESSAGE for message in request.messages)
    return math.ceil(price.most_usd(size + PER_MESSAGE, request.max_tokens or most_tokens) * NANO)


@dataclass
class Overrun:
    """How many times its bound an endpoint's dearest answer cost so far, where it passed it (it ignores max_tokens,
    say): what later requests may cost is more by as much. One for each endpoint and process."""

    factor: float = 1.0

    def learn(self, cost: int, bound: int) -> bool:
        """Take in an answer's cost and its request's bound before any factor; whether it is news."""
        found = cost / bound if bound else 1.0
        news = found > self.factor
        self.factor = max(self.factor, found)
        return news


class Purse:
    """One attempt's money, in nanodollars. Payments are made on one event loop; asking is another thread's."""

    def __init__(
        self,
        owner: Owner,
        price: Price,
        most_tokens: int,
        concurrency: int,
        file: PurseFile,
        loop: asyncio.AbstractEventLoop,
        reply: str,
        overrun: Overrun | None = None,
    ) -> None:
        self.file = file
        self._overrun = overrun or Overrun()
        self._owner = owner
        self._price = price
        self._most_tokens = most_tokens
        self._concurrency = concurrency
        self._loop = loop
        self._reply = reply
        self._lock = threading.Lock()
        self._limit = self._spent = self._out = 0
        self._payments = self._seq = 0
        self._to_come = 0
        self._mean = 1
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._refusal: str | None = None
        self._refused: Ask | None = None
        self._ask: Ask | None = None
        self._asked = self._sent = self._granted = -1e9
        self._widened = 2

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def spent(self) -> int:
        """What was spent for certain, with all that may have been."""
        return self._spent + self._out

    def expect(self, requests: Iterable[ChatRequest]) -> None:
        """Say what is to be sent, so that the purse can ask for it."""
        bounds = [bound_of(request, self._price, self._most_tokens) for request in requests]
        with self._lock:
            self._to_come += sum(bounds)
            self._mean = max(1, sum(bounds) // max(1, len(bounds)))

    async def take(self, request: ChatRequest) -> Payment:
        """Money for one request, once there is some.

        Raises:
            BudgetSpent: there is none left, and none will come back.
        """
        plain = bound_of(request, self._price, self._most_tokens)
        while True:
            bound = math.ceil(plain * self._overrun.factor)
            with self._lock:
                if self._refusal is not None:
                    raise BudgetSpent(self._refusal)
                if self._limit - self.spent >= bound:
                    self._out += bound
                    return Payment(self, bound, plain)
                ready = self._loop.create_future()
                self._waiting.append((bound, ready))
            try:
                await ready
            finally:
                with self._lock:
                    self._waiting = deque(entry for entry in self._waiting if entry[1] is not ready)

    def due(self, now: float) -> Ask | None:
        """What is to be said to the conductor now, if anything."""
        with self._lock:
            if self._refusal is not None:
                return None
            if self._ask is None or now - self._asked > STALE or self._idle_with_money():
                self._renew(now)
            due = REPEAT if self._ask else WORD
            if now - self._sent < due:
                return None
            self._sent = now
            return self._ask or self._asking(0, 1)

    def answered(self, seq: int, limit: int | None, reason: str | None) -> None:
        """The conductor's answer; only that to the newest question counts."""
        with self._lock:
            if self._ask is None or self._ask.seq != seq or (limit is None and self._out):
                return
            now, asked, self._ask = time.monotonic(), self._ask, None
            if limit is None:
                self._refused = asked
                self._refusal = reason or "budget: it is spent"
            else:
                self._limit = max(limit, self._limit)
                quick = now - self._granted < SOON
                self._widened = min(WINDOWS, self._widened * 2) if quick else max(2, self._widened // 2)
                self._granted = now
            self._wake()

    def last_word(self) -> Ask | None:
        """What every conductor should know of its end: that there was no money."""
        with self._lock:
            return None if self._refused is None else replace(self._refused, refused=True)

    def waits_for(self) -> str | None:
        """Why nothing is sent, in words."""
        if self._waiting and not self._out:
            return "budget: what is left is promised to other shards until they end"
        return None

    def _begin(self, payment: Payment) -> None:
        """Write down that a request is about to leave. Raises OSError."""
        with self._lock:
            self._payments += 1
            payment.number = self._payments
        self.file.begin(payment.number, payment.bound)

    def _settle(self, payment: Payment, amount: int) -> None:
        if payment.number:
            self.file.end(payment.number, amount)
        with self._lock:
            self._out -= payment.bound
            self._spent += amount
            if payment.done:
                self._to_come = max(0, self._to_come - payment.plain)
            self._wake()
        if payment.done and self._overrun.learn(amount, payment.plain):
            log.warning("purse.bound_passed", kind=self._owner.kind, times=round(self._overrun.factor, 2))

    def _cost(self, answer: Answer, bound: int) -> int:
        """An answer without usage counts in full."""
        usd = self._price.of(answer)
        return bound if usd is None else max(0, math.ceil(usd * NANO - 1e-6))

    def _idle_with_money(self) -> bool:
        """Whether what is left is too little for any request, so that others may have it."""
        free = self._limit - self.spent
        return bool(self._waiting) and not self._out and 0 < free < min(bound for bound, _ in self._waiting)

    def _renew(self, now: float) -> None:
        """Ask anew, or no more. Money that is of no use here is given back with the question."""
        self._ask = None
        if self._idle_with_money():
            self._limit = self._spent
        useful = max(0, math.ceil(self._to_come * self._overrun.factor) - self._out)
        window = min(useful, math.ceil(self._widened * self._concurrency * self._mean * self._overrun.factor))
        least = min((bound for bound, _ in self._waiting), default=0)
        free = self._limit - self.spent
        if self._waiting or free < window // 2:
            self._seq += 1
            least = max(1, least - free if self._waiting else min(window, self._mean))
            self._ask = self._asking(max(window - free, least), least)
            self._asked, self._sent = now, -1e9

    def _asking(self, wanted: int, least: int) -> Ask:
        return Ask(
            self._owner.experiment,
            self.name,
            self._seq,
            self._owner.kind,
            self._owner.stage,
            self._limit,
            self._spent,
            wanted,
            least,
            bool(self._out),
            self._reply,
        )

    def _wake(self) -> None:
        """Let those go on that can be paid for, in their order; all of them to an error."""
        free = self._limit - self.spent
        for bound, ready in self._waiting:
            if self._refusal is not None or bound <= free:
                free -= bound
                self._loop.call_soon_threadsafe(_done, ready)


class Payment:
    """Money taken for one request."""

    def __init__(self, purse: Purse, bound: int, plain: int) -> None:
        self.bound = bound
        self.plain = plain
        self.number = 0
        self.done = False
        self._purse = purse
        self._answer: Answer | None = None

    def begin(self) -> None:
        """The request leaves now. Raises OSError."""
        self._purse._begin(self)

    def settle(self, answer: Answer) -> None:
        """The request was answered."""
        self._answer, self.done = answer, True

    @contextmanager
    def held(self) -> Iterator[Payment]:
        """What was not answered is given back at the end, if it surely costs nothing."""
        free = False
        try:
            yield self
        except BaseException as error:
            free = isinstance(error, Refused) or (isinstance(error, Unanswered) and error.unbilled)
            raise
        finally:
            unanswered = 0 if free or not self.number else self.bound
            self._purse._settle(
                self, unanswered if self._answer is None else self._purse._cost(self._answer, self.bound)
            )


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
