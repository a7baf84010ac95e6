"""One request and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from services.simulator.completions import Refusal
from services.simulator.standin import connection
from services.simulator.standin.faults import Faults, Transport
from services.simulator.standin.shapes import AnthropicShape, Failure, Headers, Shape
from services.simulator.wire import Receive, Scope, Send


@dataclass
class Exchange:
    """Decided at its arrival by `accept` or `refuse`, and carried out by `write`."""

    scope: Scope
    receive: Receive
    send: Send
    shape: Shape
    arrived: float = field(default_factory=time.time)
    model: str = ""
    content: str | None = None
    """The hash of the request, in OpenAI's shape, once a model has answered it."""
    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    headers: Headers = field(default_factory=list)
    fault: Transport | None = None
    latency: float = 0.0

    def key(self) -> bytes:
        """The API key that it came with.

        Raises:
            Refusal: a request the Anthropic way without a version.
        """
        given = dict(self.scope["headers"])
        bearer = bytes(given.get(b"authorization", b"")).removeprefix(b"Bearer ")
        if isinstance(self.shape, AnthropicShape):
            if b"anthropic-version" not in given:
                raise Refusal(400, "anthropic-version: header is required")
            return bytes(given.get(b"x-api-key", bearer))
        return bearer

    def accept(self, content: str, body: dict[str, Any], fault: Transport | None, usage: bool, latency: float) -> None:
        """A model has answered; `usage` says whether the answer tells its tokens."""
        self.content, self.fault, self.latency, self.usage = content, fault, latency, body["usage"]
        body |= {"id": f"chatcmpl-{content[:24]}", "created": int(self.arrived)}
        if not usage:
            del body["usage"]
        self.body = self.shape.response(body)

    def refuse(self, refusal: Refusal) -> None:
        self.status, self.body = refusal.status, self.shape.error(refusal)
        if isinstance(refusal, Failure):
            self.headers = [*self.headers, *refusal.headers]

    async def write(self, faults: Faults) -> bool:
        """Answer as decided; whether the client got the whole of it."""
        match self.fault:
            case "drop_before":
                await connection.drop(self.scope, self.receive)
            case "drop_during":
                await connection.answer_half(self.scope, self.receive, self.send, self.body, self.headers)
            case "truncated_json":
                raw = json.dumps(self.body).encode()
                await connection.answer(self.send, 200, raw[: len(raw) // 2], self.headers)
            case "slow_body":
                return await connection.answer_slowly(
                    self.receive, self.send, self.body, self.headers, faults.slow_body_s
                )
            case _:
                await connection.answer(self.send, self.status, self.body, self.headers)
                # uvloop writes to its sockets at the end of a turn: only then is the answer handed over.
                await asyncio.sleep(0)
                return True
        return False
