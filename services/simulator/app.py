"""The simulator as a bare ASGI application: it must never be what a benchmark measures."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from services.simulator.completions import Refusal, complete
from services.simulator.traffic import Traffic
from shared.canonical import sha256_hex
from shared.world import names
from shared.world.models import CriticSettings, TeacherSettings

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGEST_BODY = 4 * 1024 * 1024
EXAMPLES = (TeacherSettings(accuracy=0.5), CriticSettings(), CriticSettings(role="judge"))


class Simulator:
    """Serves every simulated model; a model's settings are in its name.

    Args:
        api_key: where given, `/v1` asks for it as a bearer token and answers 401 without.
        latency: seconds that an answer takes.
        log: a file for one line a request (see `Traffic`).
    """

    def __init__(self, api_key: str | None = None, latency: float = 0.0, log: Path | None = None) -> None:
        self._bearer = None if api_key is None else f"Bearer {api_key}".encode()
        self._latency = latency
        self.traffic = Traffic(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path == "/v1/chat/completions" and method == "POST":
            await self._complete(scope, receive, send)
            return
        try:
            status, body = 200, self._small(method, path, scope)
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        await _respond(send, status, body)

    def _small(self, method: str, path: str, scope: Scope) -> dict[str, Any]:
        match method, path:
            case "GET", "/healthz":
                return {"status": "ok"}
            case "GET", "/stats":
                return self.traffic.stats()
            case "POST", "/stats/reset":
                self.traffic.reset()
                return {"status": "ok"}
            case "GET", "/v1/models":
                self._authorise(scope)
                models = [{"id": names.encode(settings), "object": "model"} for settings in EXAMPLES]
                return {
                    "object": "list",
                    "data": [{**model, "created": 0, "owned_by": "touchstone"} for model in models],
                }
        raise Refusal(404, f"There is no {method} {path} here.", code="not_found")

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.time()
        content, model, status = None, "", 200
        try:
            raw = await _read(receive)
            if raw is None:
                return
            self._authorise(scope)
            request = _parse(raw)
            model = str(request.get("model", "")) if isinstance(request, dict) else ""
            body = complete(request)
            content = sha256_hex(json.dumps(request, sort_keys=True))
            self.traffic.arrived(content)
            body |= {"id": f"chatcmpl-{content[:24]}", "created": int(arrived)}
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        written = not (self._latency and await _left(receive, self._latency))
        if written:
            await _respond(send, status, body)
        self.traffic.ended(content, model, arrived, status, written)

    def _authorise(self, scope: Scope) -> None:
        if self._bearer is None:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._bearer):
            raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")


async def _read(receive: Receive) -> bytes | None:
    """The request's body; None if the client left before it was whole."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            raise Refusal(413, f"The request's body is larger than {LARGEST_BODY} bytes.")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


async def _left(receive: Receive, seconds: float) -> bool:
    """Wait so long; True, at once, if the client closes its connection meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _respond(send: Send, status: int, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})
