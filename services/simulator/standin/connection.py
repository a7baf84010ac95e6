"""Answers as bytes on a connection that may break: whole, slowly, half, or not at all."""

from __future__ import annotations

import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.simulator.standin.shapes import Headers
from services.simulator.wire import Receive, Scope, Send, left

TRANSPORT = "touchstone.transport"
PIECES = 10


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which lets the application break its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


async def answer(send: Send, status: int, body: Any, headers: Headers, content_type: str = "application/json") -> None:
    """A whole answer; `body` is JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    await _begin(send, status, len(raw), headers, content_type)
    await send({"type": "http.response.body", "body": raw})


async def answer_slowly(receive: Receive, send: Send, body: Any, headers: Headers, seconds: float) -> bool:
    """A whole answer in pieces; False if the client left meanwhile."""
    raw = json.dumps(body).encode()
    await _begin(send, 200, len(raw), headers)
    size = -(-len(raw) // PIECES)
    for start in range(0, len(raw), size):
        if await left(receive, seconds / PIECES):
            return False
        more = start + size < len(raw)
        await send({"type": "http.response.body", "body": raw[start : start + size], "more_body": more})
    return True


async def answer_half(scope: Scope, receive: Receive, send: Send, body: Any, headers: Headers) -> None:
    """Half of an answer's body, and then no connection."""
    raw = json.dumps(body).encode()
    await _begin(send, 200, len(raw), headers)
    await send({"type": "http.response.body", "body": raw[: len(raw) // 2], "more_body": True})
    scope[TRANSPORT].close()
    await _gone(receive)


async def drop(scope: Scope, receive: Receive) -> None:
    """No answer, and no connection."""
    scope[TRANSPORT].abort()
    await _gone(receive)


async def _begin(
    send: Send, status: int, length: int, headers: Headers, content_type: str = "application/json"
) -> None:
    own = [(b"content-type", content_type.encode()), (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
