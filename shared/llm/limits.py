"""Limits: when a request may be sent. One limiter for each endpoint and key; what replicas share is in its bucket.

Where the spec gives limits, or the endpoint's headers taught some, requests line up here and one call of the bucket
asks for as many as wait. Without limits a request only takes a place in this process; then the bucket is heard twice a
second, for pauses and open circuits that others found.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import redis
import structlog

from shared.llm.bucket import Bucket, Reply, Report, Why
from shared.llm.chat import ChatError, ChatRequest, Closed, Refused, Unanswered
from shared.llm.estimates import TokenEstimate
from shared.llm.lines import Lines, Slot
from shared.llm.rates import Rates

log = structlog.get_logger()

LEAST_ASKED, MOST_ASKED = 16, 256
"""Requests that one call asks for: twice as many as it was granted last."""
GAP = 0.01
"""Seconds between two calls, at least."""
PACE = 0.1
"""Seconds after a call that refused some: less than the bucket's burst lasts, so that nothing is lost by it."""
POLL = 0.25
"""Seconds between two calls while requests wait, at most: others may have left room."""
TICK = 0.5
"""Seconds between two calls while requests are in flight and none waits."""
NOTED_AFTER = 5.0
"""Seconds without a request after which it is worth telling people why."""
DOWN_AFTER = 6.0
"""How long an open circuit is waited for before the stage waits instead."""
LONGEST_PAUSE = 30.0
"""The same for a pause that the endpoint asked for."""


@dataclass(frozen=True)
class Wait:
    """Why nothing was sent for a while, and for about how many seconds more."""

    why: Why
    seconds: float


class Limiter(Protocol):
    """Says when a request may be sent. One for each endpoint and key; used on one event loop."""

    concurrency: int
    """Requests that this process may have in flight at once."""

    async def acquire(self, request: ChatRequest, tenant: str = "", since: float = 0.0) -> Slot:
        """Wait until the request may be sent. Tenants (experiments) take turns, and of one, earlier calls go first.

        Raises:
            Closed: the endpoint is down, or asked for a long pause.
        """

    def release(self, slot: Slot, error: BaseException | None) -> None:
        """The request is over: answered, failed with this error, or never sent."""

    def wait(self) -> Wait | None:
        """What has kept all requests waiting for some seconds, if something has."""


class SharedLimiter:
    """The limiter of one endpoint and key in this process, `concurrency` requests at once at most."""

    def __init__(self, bucket: Bucket, concurrency: int) -> None:
        self.concurrency = concurrency
        self._bucket = bucket
        self._estimate = TokenEstimate()
        self._lines = Lines()
        self._report = Report()
        self._reply: Reply | None = None
        self._in_flight = self._told = 0
        self._limited = self._shared = any(bucket.limits.model_dump(exclude_none=True).values())
        self._by_tokens = bucket.limits.tokens_per_minute is not None
        self._moved = time.monotonic()
        self._awake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._redis_away = False
        self._most = LEAST_ASKED

    def wait(self) -> Wait | None:
        reply = self._reply
        if not self._lines or reply is None or reply.why is None:
            return None
        if reply.wait < NOTED_AFTER and time.monotonic() - self._moved < NOTED_AFTER:
            return None
        return Wait(reply.why, reply.wait)

    def heard(self, rates: Rates) -> None:
        """Take in what a response's headers said."""
        self._report.rates = rates
        if rates.rest is not None:
            self._slow_down(rates.rest)
        if not self._limited and (rates.limit_requests or rates.limit_tokens) and not self._redis_away:
            self._limited = self._shared = True
            self._awake.set()

    async def aclose(self) -> None:
        """End, and say that nothing is in flight here any more."""
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump
        if self._told:
            await self._exchange()

    async def acquire(self, request: ChatRequest, tenant: str = "", since: float = 0.0) -> Slot:
        slot = Slot(request, tenant, since)
        # Where nothing was in flight for a while, the bucket is heard before anything is sent.
        if self._pump and not self._shared and not self._lines and self._in_flight < self.concurrency:
            self._in_flight += 1
            return slot
        if not self._lines:
            self._moved = time.monotonic()
            self._awake.set()
        slot.granted = asyncio.get_running_loop().create_future()
        self._lines.add(slot)
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        try:
            await slot.granted
        except asyncio.CancelledError:
            if slot.granted.done() and not slot.granted.cancelled() and slot.granted.exception() is None:
                self.release(slot, None)
            else:
                self._lines.remove(slot)
            raise
        return slot

    def release(self, slot: Slot, error: BaseException | None) -> None:
        self._in_flight -= 1
        if not slot.sent:
            self._settle(slot, requests=-1, tokens=-slot.reserved)
        elif slot.answer is not None:
            used = self._estimate.learn(slot.request, slot.answer)
            self._report.succeeded()
            self._report.answers += 1
            if used is not None:
                self._settle(slot, requests=0, tokens=used - slot.reserved)
        elif isinstance(error, Refused):
            self._report.succeeded()
        elif isinstance(error, Unanswered):
            self._failed(error)
        if not self._shared:
            self._admit()
        elif self._lines and (self._in_flight >= self.concurrency - 1 or self._why() == "concurrency"):
            self._awake.set()

    def _settle(self, slot: Slot, requests: int, tokens: int) -> None:
        if slot.grant is not None:
            self._report.settle(*slot.grant, requests, tokens if self._by_tokens else 0)

    def _failed(self, error: Unanswered) -> None:
        if error.throttled or error.retry_after:
            self._slow_down(error.retry_after)
        if error.throttled:
            self._report.throttled += 1
        else:
            self._report.failed(str(error))
        self._awake.set()

    def _slow_down(self, seconds: float | None) -> None:
        self._report.slow_down(seconds)
        # Nothing more is sent from here before the bucket has said for how long.
        self._shared = self._limited or not self._redis_away
        self._awake.set()

    def _why(self) -> Why | None:
        return self._reply.why if self._reply else None

    def _admit(self) -> None:
        """Let in who waits for a place in this process alone."""
        while self._lines and self._in_flight < self.concurrency:
            self._let(next(iter(self._lines.in_turn())))

    def _let(self, slot: Slot) -> None:
        self._lines.remove(slot)
        self._in_flight += 1
        self._moved = time.monotonic()
        assert slot.granted is not None
        slot.granted.set_result(None)

    async def _run(self) -> None:
        """Call the bucket while there is something to ask, to watch or to say."""
        try:
            while self._in_flight or self._lines or self._told:
                self._awake.clear()
                rest = await self._exchange()
                await asyncio.sleep(GAP)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), rest)
        except Exception as error:
            self._turn_away(error)
            raise
        finally:
            self._pump = None

    async def _exchange(self) -> float:
        """One call; returns the seconds to rest before the next."""
        asks = self._demands() if self._shared else {}
        report, self._report = self._report, Report()
        held = self._in_flight
        costs = [(tenant, [slot.reserved for slot in slots]) for tenant, slots in asks.items()]
        try:
            reply = await asyncio.to_thread(self._bucket.ask, report, held, costs)
        except redis.RedisError as error:
            self._report.merge(report)
            self._lost(error)
            return TICK
        granted = sum(reply.granted)
        self._told = held + granted
        self._most = min(MOST_ASKED, max(LEAST_ASKED, 2 * granted))
        self._heed(reply)
        self._deal(reply, asks)
        if self._lines and asks:
            return min(max(reply.wait, PACE), POLL) if reply.why else 0.0
        # With concurrency to share, whoever has some in flight must be heard soon after a wipe.
        return POLL if reply.concurrency else TICK

    def _demands(self) -> dict[str, list[Slot]]:
        """Who asks now, by tenant, in turn."""
        asks: dict[str, list[Slot]] = {}
        room = min(self._most, self.concurrency - self._in_flight)
        for count, slot in enumerate(self._lines.in_turn()):
            if count >= room:
                break
            slot.reserved = self._estimate.of(slot.request, self._in_flight + count) if self._by_tokens else 1
            asks.setdefault(slot.tenant, []).append(slot)
        return asks

    def _heed(self, reply: Reply) -> None:
        """Take in the limits in force, and whether anything has to be asked for at all."""
        self._redis_away = False
        self._reply = reply
        self._by_tokens = reply.tokens_per_minute is not None
        self._limited = bool(reply.requests_per_minute or reply.tokens_per_minute or reply.concurrency or reply.pace)
        closed = reply.paused > 0 or reply.down is not None or self._report.pause is not None
        self._shared = self._limited or closed
        if not self._shared:
            self._admit()

    def _deal(self, reply: Reply, asks: dict[str, list[Slot]]) -> None:
        """Hand out what was granted; turn everybody away where it would take long."""
        for slots, count in zip(asks.values(), reply.granted, strict=False):
            for slot in slots[:count]:
                slot.grant = (reply.era, reply.slot)
                if slot in self._lines:
                    self._let(slot)
                else:
                    # It was called off during the call, or let in without asking.
                    self._settle(slot, requests=-1, tokens=-slot.reserved)
        if closed := _closed(reply):
            self._turn_away(closed)

    def _turn_away(self, error: Exception) -> None:
        for slot in list(self._lines.in_turn()):
            self._lines.remove(slot)
            assert slot.granted is not None
            slot.granted.set_exception(error)

    def _lost(self, error: redis.RedisError) -> None:
        """Redis is away: what has limits waits, what has none goes on."""
        if not self._redis_away:
            log.warning("limits.redis_away", error=str(error), limited=self._limited)
        self._redis_away = True
        if not self._limited:
            self._shared = False
            self._admit()


def _closed(reply: Reply) -> ChatError | None:
    """Why it is not worth waiting in line."""
    if reply.why == "circuit" and reply.probe is not None and reply.down is not None and reply.down >= DOWN_AFTER:
        return Closed("base_url", f"{reply.error} (down for {reply.down:.0f} s, tried again in {reply.probe:.0f} s)")
    if reply.why == "pause" and reply.paused > LONGEST_PAUSE:
        return Closed("limits", f"the endpoint asked for a pause; next request in {reply.paused:.0f} s")
    return None
