"""The stand-in as an ASGI application: the simulator's models, asked the OpenAI or the Anthropic way, and its faults.

`GET`, `POST` (fields to change) and `DELETE /faults` (back to those of its start) control it; `GET /stats` says what
it was asked, how near the limits came, and the bill.
"""

from __future__ import annotations

import hmac
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.simulator.app import Simulator
from services.simulator.completions import Refusal
from services.simulator.standin import answers, connection
from services.simulator.standin.batch_routes import BatchRoutes
from services.simulator.standin.bill import Bill
from services.simulator.standin.exchange import Exchange
from services.simulator.standin.faults import Faults
from services.simulator.standin.limits import Gate
from services.simulator.standin.shapes import AnthropicShape, Failure, OpenAIShape, Shape, limit_failure
from services.simulator.traffic import content_hash
from services.simulator.wire import Receive, Scope, Send, left, parse, read

CHAT: dict[str, Shape] = {"/v1/chat/completions": OpenAIShape(), "/v1/messages": AnthropicShape()}
BATCHES = ("/v1/files", "/v1/batches")


class StandIn(Simulator):
    """A simulator with faults.

    Args:
        faults: those of its start.
        state: the folder of its files and batches, which survive a restart.
        api_key, log: as the simulator's.
    """

    def __init__(self, faults: Faults, state: Path, api_key: str | None = None, log: Path | None = None) -> None:
        super().__init__(api_key, log=log)
        self._api_key = None if api_key is None else api_key.encode()
        self._now = self._most_at_once = 0
        self._reset_counts()
        self._first = faults
        self._batches = BatchRoutes(state, self.traffic)
        self._set(faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path in CHAT and method == "POST":
            await self._answer(Exchange(scope, receive, send, CHAT[path]))
        elif path.startswith(BATCHES):
            await self._batch(scope, receive, send)
        elif path == "/faults":
            await self._control(method, receive, send)
        elif path == "/stats" and method == "GET":
            await connection.answer(send, 200, self._stats(), [])
        else:
            if path == "/stats/reset":
                self._reset_counts()
            await super().__call__(scope, receive, send)

    async def _answer(self, exchange: Exchange) -> None:
        self._now += 1
        self._most_at_once = max(self._most_at_once, self._now)
        try:
            raw = await read(exchange.receive)
            if raw is None:
                return
            self._decide(exchange, raw)
        except Refusal as refusal:
            exchange.refuse(refusal)
        try:
            written = not (exchange.latency and await left(exchange.receive, exchange.latency))
            written = written and await exchange.write(self.faults)
        finally:
            self._now -= 1
        if written and exchange.content is not None and exchange.usage is not None:
            self._answered.add(exchange.content)
            self._bill.written.add(exchange.usage)
        self.traffic.ended(exchange.content, exchange.model, exchange.arrived, exchange.status, written)

    def _decide(self, exchange: Exchange, raw: bytes) -> None:
        """All about a request is decided at its arrival: whether it is let in, what is said, what goes wrong.

        Raises:
            Refusal: it is not let in, or not answered.
        """
        key = exchange.key()
        if self._api_key is not None and not hmac.compare_digest(key, self._api_key):
            raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        request = exchange.shape.request(parse(raw))
        exchange.model = str(request.get("model", "")) if isinstance(request, dict) else ""
        content, text, now = content_hash(request), answers.last_text(request), time.monotonic()
        attempt = self._came[content]
        self._came[content] += 1
        body = answers.answer(request, self.faults, content, attempt)
        weight = body["usage"]["total_tokens"] if self.faults.count_tokens == "used" else answers.estimate(request)
        self._admit(exchange, key, weight, now)
        fault = self.faults.transport(content, attempt, text)
        if fault == "429" or self.faults.storms(now - self._since):
            raise self._too_many(self.faults.retry_after_s)
        if fault == "500":
            raise Failure(500, "The server had an error while processing your request.")
        if fault == "overloaded":
            raise Failure(exchange.shape.overloaded, "The engine is currently overloaded.")
        self._asked_again += content in self._answered
        self.traffic.arrived(content)
        self._bill.arrived.add(body["usage"])
        says_usage = self.faults.says_usage(content, attempt, text)
        exchange.accept(content, body, fault, says_usage, self.faults.latency(content, attempt))

    def _admit(self, exchange: Exchange, key: bytes, weight: int, now: float) -> None:
        account = (key, exchange.model)
        if account not in self._gates:
            self._gates[account] = Gate(self.faults, now)
        admission = self._gates[account].arrive(now, weight)
        says = self.faults.limit_headers
        exchange.headers = exchange.shape.limits(admission.states) if says else []
        if admission.refused is not None:
            amount = 1 if admission.refused == "requests" else weight
            raise limit_failure(admission, exchange.model, amount) if says else self._too_many(None)
        if self.faults.concurrency is not None and self._now > self.faults.concurrency:
            raise self._too_many(self.faults.retry_after_s)

    def _too_many(self, wait: float | None) -> Failure:
        code = self.faults.code_429
        if code == "insufficient_quota":
            return Failure(429, "You exceeded your current quota, please check your plan.", code, None, code)
        return Failure(429, "Rate limit reached: too many requests. Please try again later.", code, wait, "requests")

    async def _batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Files and batches: faults of the transport, drawn by how often the same was asked, hit them too."""
        what = f"{scope['method']} {scope['path']}"
        attempt = self._came[what]
        self._came[what] += 1
        fault = self.faults.transport(what, attempt, what)
        try:
            self._authorise(scope)
            if fault == "429" or self.faults.storms(time.monotonic() - self._since):
                raise self._too_many(self.faults.retry_after_s)
            if fault in ("500", "overloaded"):
                raise Failure(500, "The server had an error while processing your request.", None)
            status, body = await self._batches.serve(scope, receive, self.faults)
        except Refusal as refusal:
            headers = refusal.headers if isinstance(refusal, Failure) else []
            await connection.answer(send, refusal.status, refusal.body, headers)
            return
        if fault in ("drop_before", "drop_during"):
            await connection.drop(scope, receive)
            return
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        await connection.answer(send, status, body, [], kind)

    async def _control(self, method: str, receive: Receive, send: Send) -> None:
        try:
            if method == "POST":
                changed = parse(await read(receive) or b"{}")
                self._set(Faults.model_validate({**self.faults.model_dump(), **changed}))
            elif method == "DELETE":
                self._set(self._first)
        except (Refusal, ValidationError, TypeError) as error:
            await connection.answer(send, 400, {"error": {"message": str(error), "code": "invalid_faults"}}, [])
            return
        await connection.answer(send, 200, self.faults.model_dump(), [])

    def _set(self, faults: Faults) -> None:
        self.faults, self._since = faults, time.monotonic()
        for gate in self._gates.values():
            gate.set(faults, self._since)

    def _stats(self) -> dict[str, Any]:
        gates = self._gates.values()
        self._batches.advance(self.faults)
        return self.traffic.stats() | {
            "asked_again": self._asked_again,
            "most_at_once": self._most_at_once,
            "most_in_a_minute": {
                "requests": max((gate.arrived.most_requests for gate in gates), default=0),
                "tokens": max((gate.arrived.most_tokens for gate in gates), default=0),
                "admitted_requests": max((gate.admitted.most_requests for gate in gates), default=0),
                "admitted_tokens": max((gate.admitted.most_tokens for gate in gates), default=0),
            },
            "bill": self._bill.to_json(self.faults.prices, self._batches.tokens()),
            "batches": self._batches.stats(),
        }

    def _reset_counts(self) -> None:
        self._gates: dict[tuple[bytes, str], Gate] = {}
        self._came: Counter[str] = Counter()
        self._answered: set[str] = set()
        self._bill = Bill()
        self._asked_again = self._most_at_once = 0
