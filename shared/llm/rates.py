"""What an endpoint's headers say of its rate limits, whoever the vendor is.

OpenAI and most compatible servers send `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` with resets as durations
(`1s`, `6m0s`, `20ms`), Anthropic `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}` with RFC 3339 times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

MINUTE = 60.0
REFILLS = 0.8
"""A limit that refills evenly is whole again a minute after nothing was left of it. One that is whole distinctly sooner
is counted in windows, and nothing comes back before the window ends."""
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
NAMES = ("x-ratelimit-{what}-{of}", "anthropic-ratelimit-{of}-{what}")


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests and tokens a minute that the endpoint grants, and those that are left now. None: it did not say.

    A limit an hour or a day is taken for one a minute too: as such it is too loose to keep anything from being sent.
    `rest`: seconds for which nothing may be sent, since nothing is left and nothing comes back sooner.
    """

    limit_requests: float | None = None
    limit_tokens: float | None = None
    remaining_requests: float | None = None
    remaining_tokens: float | None = None
    rest: float | None = None

    def to_json(self) -> dict[str, float]:
        """What is known, without `rest`."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "rest"}


def read_rates(headers: Mapping[str, str]) -> Rates | None:
    """The rates that a response's headers tell; None if they tell none."""
    for name in NAMES:
        if any(name.format(what="limit", of=of) in headers for of in ("requests", "tokens")):
            of_requests, of_tokens = _read(headers, name, "requests"), _read(headers, name, "tokens")
            return Rates(of_requests[0], of_tokens[0], of_requests[1], of_tokens[1], _rest(headers, name))
    return None


def _read(headers: Mapping[str, str], name: str, of: str) -> tuple[float | None, float | None]:
    """Limit and remaining of requests or tokens; neither where there is no limit."""
    limit = _number(headers.get(name.format(what="limit", of=of)))
    return (limit, _number(headers.get(name.format(what="remaining", of=of)))) if limit else (None, None)


def _rest(headers: Mapping[str, str], name: str) -> float | None:
    """Seconds until a window ends of which nothing is left; None where some is, or `retry-after` says it better."""
    rests = []
    for of in ("requests", "tokens"):
        limit, remaining = _read(headers, name, of)
        reset = seconds_until(headers.get(name.format(what="reset", of=of)))
        if limit and remaining == 0 and reset and reset < REFILLS * MINUTE:
            rests.append(reset)
    return max(rests) if rests and retry_after(headers) is None else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the endpoint asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return exact / 1000.0
    given = headers.get("retry-after")
    seconds = _number(given)
    if seconds is not None or not given:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def seconds_until(reset: str | None) -> float | None:
    """Seconds, from a duration (`1m30.5s`), plain seconds or an RFC 3339 time; None if it is none of these."""
    if not reset:
        return None
    plain = _number(reset)
    if plain is not None:
        return plain
    if DURATION.sub("", reset) == "":
        return sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(reset))
    try:
        return max(0.0, (datetime.fromisoformat(reset) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < 1e15 else None
