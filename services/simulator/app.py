"""The simulator as a bare ASGI application: it must never be what a benchmark measures."""

from __future__ import annotations

import asyncio
import hmac
import time
from pathlib import Path
from typing import Any

from services.simulator.completions import Refusal, complete
from services.simulator.traffic import Traffic, content_hash
from services.simulator.wire import Receive, Scope, Send, left, parse, read, respond
from shared.world import names
from shared.world.models import CriticSettings, TeacherSettings

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
        await respond(send, status, body)

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
            raw = await read(receive)
            if raw is None:
                return
            self._authorise(scope)
            request = parse(raw)
            model = str(request.get("model", "")) if isinstance(request, dict) else ""
            body = complete(request)
            content = content_hash(request)
            self.traffic.arrived(content)
            body |= {"id": f"chatcmpl-{content[:24]}", "created": int(arrived)}
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        written = not (self._latency and await left(receive, self._latency))
        if written:
            await respond(send, status, body)
            # uvloop writes to its sockets at the end of a turn: only then is the answer handed over.
            await asyncio.sleep(0)
        self.traffic.ended(content, model, arrived, status, written)

    def _authorise(self, scope: Scope) -> None:
        if self._bearer is None:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._bearer):
            raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
