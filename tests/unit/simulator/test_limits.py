"""The stand-in's limits: what they let in is never more than they say, whatever comes."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.simulator.standin.faults import Faults
from services.simulator.standin.limits import SPAN, Gate, Window
from services.simulator.standin.shapes import duration

# A machine that does other things as well takes its time.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ARRIVALS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 60)), max_size=120)


def most(came: list[tuple[float, int]], weigh: bool) -> int:
    """The most within 60 s that end at an arrival, counted the slow way."""
    sums = [sum(tokens if weigh else 1 for at, tokens in came if end - SPAN < at <= end) for end, _ in came]
    return max(sums, default=0)


@patient
@given(ARRIVALS)
def test_a_window_knows_the_most_that_ever_came_within_a_minute(gaps: list[tuple[float, int]]) -> None:
    window, now, came = Window(), 0.0, []
    for gap, tokens in gaps:
        now += gap
        window.add(now, tokens)
        came.append((now, tokens))
    assert (window.most_requests, window.most_tokens) == (most(came, False), most(came, True))


@patient
@given(ARRIVALS, st.sampled_from(["window", "both"]))
def test_no_minute_lets_in_more_than_the_limits_and_a_wait_that_is_kept_is_enough(
    gaps: list[tuple[float, int]], enforce: str
) -> None:
    limits = {"requests_per_minute": 10, "tokens_per_minute": 200, "enforce": enforce}
    gate, now = Gate(Faults.model_validate(limits), 0.0), 0.0
    for gap, tokens in gaps:
        now += gap
        while (admission := gate.arrive(now, tokens)).refused is not None:
            assert admission.wait > 0
            now += admission.wait * (1 + 1e-9) + 1e-6
    assert gate.admitted.most_requests <= 10
    assert gate.admitted.most_tokens <= 200
    assert gate.arrived.most_requests >= gate.admitted.most_requests


def test_a_bucket_lets_in_its_burst_and_then_its_rate() -> None:
    faults = Faults(requests_per_minute=60, enforce="bucket", burst_s=5)
    gate = Gate(faults, 0.0)
    assert [gate.arrive(0.0, 1).refused for _ in range(6)] == [None] * 5 + ["requests"]
    refused = gate.arrive(0.25, 1)
    assert refused.wait == pytest.approx(0.75)
    assert (refused.states["requests"].limit, refused.states["requests"].remaining) == (60, 0)
    assert refused.states["requests"].reset == pytest.approx(4.75)
    assert gate.arrive(1.0, 1).refused is None


def test_the_limit_that_waits_longest_is_named() -> None:
    gate = Gate(Faults(requests_per_minute=100, tokens_per_minute=100), 0.0)
    assert gate.arrive(0.0, 90).refused is None
    refused = gate.arrive(6.0, 20)
    assert (refused.refused, refused.states["tokens"].remaining) == ("tokens", 10)
    assert refused.wait == pytest.approx(54.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0ms"), (0.1201, "121ms"), (1.0, "1s"), (6.5, "6.5s"), (90.0, "1m30s"), (360.0, "6m0s")],
)
def test_durations_read_as_openais(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@patient
@given(st.floats(0, 1), st.floats(0, 1))
def test_shares_of_faults_are_what_was_asked_for(first: float, second: float) -> None:
    faults = Faults(rate_500=first / 2, rate_drop_before=second / 2)
    fates = [faults.transport(str(number), 0, "") for number in range(400)]
    for name, share in (("500", first / 2), ("drop_before", second / 2)):
        spread = 5 * math.sqrt(max(share * (1 - share), 1e-3) / 400)
        assert abs(fates.count(name) / 400 - share) <= spread + 1e-9  # type: ignore[arg-type]


def test_faults_hit_what_matches_and_only_the_first_times() -> None:
    faults = Faults(rate_500=1, match="needle", attempts=2)
    assert [faults.transport("h", attempt, "a needle") for attempt in range(3)] == ["500", "500", None]
    assert faults.transport("h", 0, "hay") is None


def test_a_latency_has_the_median_that_was_asked_for() -> None:
    faults = Faults(latency_ms=100, latency_sigma=0.5)
    drawn = sorted(faults.latency(str(number), 0) for number in range(2001))
    assert drawn[1000] == pytest.approx(0.1, rel=0.1)
    assert drawn[1900] == pytest.approx(0.1 * math.exp(0.5 * 1.645), rel=0.15)


def test_storms_come_and_go() -> None:
    faults = Faults(storm_every_s=10, storm_s=2)
    assert [faults.storms(at) for at in (0, 1.9, 2.1, 9.9, 10.1, 12.1)] == [True, True, False, False, True, False]
