"""Reading rate limits off headers, as vendors really send them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.llm.rates import Rates, read_rates, retry_after, seconds_until


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("20ms", 0.02), ("6m0s", 360), ("1m30.5s", 90.5), ("1h2m", 3720), ("7", 7), ("", None), ("soon", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert seconds_until(text) == seconds


def test_times_are_counted_from_now() -> None:
    assert seconds_until(later(30).isoformat().replace("+00:00", "Z")) == pytest.approx(30, abs=1)
    assert seconds_until(later(-30).isoformat()) == 0


def openai(of: str, limit: str, remaining: str, reset: str) -> dict[str, str]:
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{name}-{of}": value for name, value in values.items()}


def test_openai() -> None:
    headers = openai("requests", "3000", "2999", "20ms") | openai("tokens", "600000", "599900", "10ms")
    assert read_rates(headers) == Rates(3000, 600_000, 2999, 599_900)


def test_a_limit_that_takes_longer_than_a_minute_is_learnt_too_since_it_binds_less() -> None:
    headers = openai("requests", "200", "150", "6h12m") | openai("tokens", "150000", "149984", "6m0s")
    assert read_rates(headers) == Rates(200, 150_000, 150, 149_984)


@pytest.mark.parametrize(
    ("remaining", "reset", "rest"),
    [("0", "12s", 12), ("0", "20ms", 0.02), ("0", "59s", None), ("0", "6m0s", None), ("1", "12s", None)],
)
def test_a_window_of_which_nothing_is_left_is_waited_for(remaining: str, reset: str, rest: float | None) -> None:
    headers = openai("requests", "3000", remaining, reset)
    assert read_rates(headers) == Rates(limit_requests=3000, remaining_requests=float(remaining), rest=rest)
    assert read_rates({**headers, "retry-after": "1"}) == Rates(
        limit_requests=3000, remaining_requests=float(remaining)
    )


def test_anthropic() -> None:
    values = {"limit": "50", "remaining": "49", "reset": later(1).isoformat()}
    assert read_rates({f"anthropic-ratelimit-requests-{name}": value for name, value in values.items()}) == Rates(
        limit_requests=50, remaining_requests=49
    )


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}])
def test_most_servers_say_nothing(headers: dict[str, str]) -> None:
    assert read_rates(headers) is None


@pytest.mark.parametrize("limit", ["", "many", "-1", "0", "inf", "nan"])
def test_nonsense_teaches_nothing(limit: str) -> None:
    assert read_rates(openai("requests", limit, "1", "1s")) == Rates()


def test_retry_after_in_seconds_milliseconds_or_as_a_date() -> None:
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5
    assert retry_after({"retry-after": format_datetime(later(20), usegmt=True)}) == pytest.approx(20, abs=1.5)
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
