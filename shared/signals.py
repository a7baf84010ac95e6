"""Signals: what workers tell the conductor, in one Redis stream. Hints, all of them: any may be lost.

The conductor waits on this stream, so a commit's signal starts the next stage at once.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import redis
import structlog

log = structlog.get_logger()

STREAM = "signals"
KEEP = 20_000
Type = Literal["started", "progress", "metrics", "commit", "error", "waiting", "stopped", "control", "purse"]


def send(client: redis.Redis, type: Type, **fields: Any) -> None:
    """Tell the conductor; a Redis that is away is no error, since the conductor looks by itself too."""
    try:
        client.xadd(STREAM, {"type": type, "data": json.dumps(fields)}, maxlen=KEEP, approximate=True)
    except redis.RedisError as error:
        log.warning("signal.lost", type=type, error=str(error))


def decode(fields: dict[bytes, bytes]) -> tuple[str, dict[str, Any]]:
    """A stream entry's type and data."""
    data: dict[str, Any] = json.loads(fields[b"data"])
    return fields[b"type"].decode(), data
