"""The bucket that all replicas share for one endpoint and key: limits, turns, pauses and the circuit, in one Lua call.

It holds what was granted in the last minute and paces the rest (`bucket.lua`), by the server's clock. All of it may be
lost: a bucket that is not there begins empty, so that wiping Redis, however often, lets nothing more through.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import redis

from shared.canonical import canonical_json
from shared.llm.providers.base import Limits
from shared.llm.rates import Rates

SCRIPT = Path(__file__).with_suffix(".lua").read_text()
SPAN = 62.0
"""Seconds in which no more than a limit is granted; `SPAN` of bucket.lua."""

Why = Literal["requests", "tokens", "concurrency", "pace", "turn", "pause", "circuit"]


@dataclass
class Report:
    """What a process has to say since its last call.

    `settled` is, by era and slot of the grants, the requests and tokens used less those reserved; `failures` in a row
    since the last success (`ok`: there was one), with the `error` of the last; `pause`: the endpoint said to slow down
    for so many seconds, -1 where it did not say how long; `answers` came, and so many requests were `throttled` (429).
    """

    settled: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    ok: bool = False
    failures: int = 0
    error: str = ""
    pause: float | None = None
    rates: Rates | None = None
    answers: int = 0
    throttled: int = 0

    def settle(self, era: str, slot: int, requests: int, tokens: int) -> None:
        before = self.settled.get((era, slot), (0, 0))
        self.settled[era, slot] = (before[0] + requests, before[1] + tokens)

    def succeeded(self) -> None:
        self.ok, self.failures = True, 0

    def failed(self, error: str) -> None:
        self.failures, self.error = self.failures + 1, error

    def slow_down(self, seconds: float | None) -> None:
        self.pause = max(-1.0 if seconds is None else max(0.0, seconds), -1.0 if self.pause is None else self.pause)

    def merge(self, older: Report) -> None:
        """Take in a report that could not be delivered."""
        for (era, slot), (requests, tokens) in older.settled.items():
            self.settle(era, slot, requests, tokens)
        if not self.ok:
            self.ok, self.failures, self.error = older.ok, self.failures + older.failures, self.error or older.error
        if older.pause is not None:
            self.slow_down(None if older.pause < 0 else older.pause)
        self.rates = self.rates or older.rates
        self.answers += older.answers
        self.throttled += older.throttled

    def to_json(self) -> dict[str, Any]:
        settled = [[era, slot, *used] for (era, slot), used in self.settled.items() if any(used)]
        values = {
            "settled": settled or None,
            "ok": self.ok or None,
            "failures": self.failures or None,
            "error": self.error[:300] or None,
            "pause": self.pause,
            "heard": self.rates.to_json() if self.rates else None,
            "answers": self.answers or None,
            "throttled": self.throttled or None,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Reply:
    """What the bucket says. `granted`: how many of each demand's requests may be sent; `era` and `slot` name the grants
    for their settlement. `wait`: seconds after which it is worth asking for the rest, and `why`. The limits in force,
    the lowest that anybody was given; `pace`: the requests a minute that 429s taught, if they did;
    `paused`: for so many seconds nobody may send; `down`: since how many seconds the circuit is open (None: closed),
    `probe`: when one request may try it again (None: one does now), `error`: why it opened."""

    era: str
    slot: int
    granted: list[int]
    wait: float
    why: Why | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int | None = None
    pace: float | None = None
    paused: float = 0.0
    down: float | None = None
    probe: float | None = None
    error: str = ""


class Bucket:
    """One process's access to a shared bucket; `owner` tells its requests in flight from others'."""

    def __init__(self, client: redis.Redis, name: str, limits: Limits, owner: str) -> None:
        self.limits = limits
        self._owner = owner
        # One hash tag, so that a cluster keeps them together.
        self._keys = [f"rate:{{{name}}}:{part}" for part in ("state", "slots", "fair", "held")]
        self._script = client.register_script(SCRIPT)
        self._limits = limits.model_dump(exclude_none=True)
        self._taught: dict[str, float] = {}

    def ask(
        self, report: Report, held: int, asks: Sequence[tuple[str, Sequence[int]]] = (), now: float | None = None
    ) -> Reply:
        """Report, and ask for what is wanted: by experiment, the tokens that each request is thought to take.

        Args:
            held: this process's requests in flight.
            now: seconds, in place of the server's clock.

        Raises:
            redis.RedisError: Redis is away; nothing may be sent.
        """
        values = {
            **self._limits,
            **report.to_json(),
            "known": self._taught,
            "owner": self._owner,
            "held": held,
            "asks": [[tenant, list(costs)] for tenant, costs in asks],
            "jitter": random.uniform(0.75, 1.25),
        } | ({} if now is None else {"now": now})
        said = json.loads(self._script(keys=self._keys, args=[json.dumps(values)]))
        # A wiped Redis forgets what the endpoint taught; whoever asks next tells it again.
        self._taught = dict(said.pop("taught"))
        return Reply(**said | {"granted": list(said["granted"]), "error": str(said["error"])})


def bucket_name(endpoint: Mapping[str, Any], address: str, api_key: str | None, value: str, salt: str) -> str:
    """The shared name of an endpoint, model and key. The key's value is in it as a keyed hash that `salt` makes
    useless to whoever reads Redis: two accounts behind one variable's name have limits of their own, and one account
    behind two names has one. Where a variable holds nothing, its name stands for it."""
    secret = hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest()
    name = "" if value else api_key or ""
    given = {"endpoint": dict(endpoint), "address": address, "api_key": name, "secret": secret}
    return hashlib.sha256(canonical_json(given)).hexdigest()[:32]
