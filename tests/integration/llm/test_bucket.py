"""The shared bucket, on a real Valkey with a clock of the test's own: what it lets through, in every minute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.llm.bucket import SPAN, Bucket, Reply, Report, bucket_name
from shared.llm.providers.base import Limits
from shared.llm.rates import Rates

MINUTE = 60.0
LATE = 1.5
"""Seconds by which one request may take longer to arrive than another."""
NAMES = count()
REAL = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass
class World:
    """Replicas of one bucket and a clock; notes every grant as `[time, requests, tokens]`."""

    client: redis.Redis
    limits: Limits
    now: float = 1_000_000.25
    name: str = field(default_factory=lambda: f"test-{next(NAMES)}")
    grants: list[list[float]] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)
    by_tenant: Counter[str] = field(default_factory=Counter)

    def ask(self, owner: str, costs: Sequence[int], tenant: str = "e", held: int = 0, **reported: object) -> Reply:
        report = self.reports.pop(owner, Report())
        for name, value in reported.items():
            setattr(report, name, value)
        bucket = Bucket(self.client, self.name, self.limits, owner)
        reply = bucket.ask(report, held, [(tenant, costs)] if costs else [], now=self.now)
        for cost in costs[: reply.granted[0] if costs else 0]:
            self.grants.append([self.now, 1, cost])
            self.by_tenant[tenant] += 1
        return reply

    def settle(self, owner: str, reply: Reply, grant: list[float], used: int) -> None:
        self.reports.setdefault(owner, Report()).settle(reply.era, reply.slot, 0, used - int(grant[2]))
        grant[2] = used

    def wipe(self) -> None:
        self.client.delete(*(f"rate:{{{self.name}}}:{part}" for part in ("state", "slots", "fair", "held")))

    def fullest(self, column: int, window: float = MINUTE + LATE) -> float:
        """The most that was granted within any such time."""
        most = total = 0.0
        first = 0
        for grant in self.grants:
            total += grant[column]
            while grant[0] - self.grants[first][0] >= window:
                total -= self.grants[first][column]
                first += 1
            most = max(most, total)
        return most


@pytest.fixture(scope="module")
def valkey(servers: object) -> Iterator[redis.Redis]:
    url = servers.environment["TOUCHSTONE_REDIS_URL"]  # type: ignore[attr-defined]
    with redis.Redis.from_url(url) as client:
        yield client


steps = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.floats(0, 9) | st.floats(0, 0.4),
        st.lists(st.floats(0, 1), max_size=30),
        st.floats(0, 1),
    ),
    min_size=60,
    max_size=120,
)


@given(rpm=st.integers(1, 300), tpm=st.integers(1000, 60_000), steps=steps, largest=st.floats(0.005, 1))
@REAL
def test_no_minute_holds_more_than_the_limits_however_big_and_uneven_the_requests(
    valkey: redis.Redis, rpm: int, tpm: int, steps: list[tuple[str, float, list[float], float]], largest: float
) -> None:
    world = World(valkey, Limits(requests_per_minute=rpm, tokens_per_minute=tpm))
    for owner, dt, costs, used in steps:
        world.now += dt
        before = len(world.grants)
        reply = world.ask(owner, [max(1, int(share * largest * tpm)) for share in costs])
        for grant in world.grants[before:]:
            world.settle(owner, reply, grant, int(grant[2] * used))
    assert world.fullest(1) <= rpm
    assert world.fullest(2) <= tpm


@given(rpm=st.integers(1, 300), steps=steps, wipes=st.sets(st.integers(0, 119)))
@REAL
def test_wiping_redis_lets_nothing_more_through(
    valkey: redis.Redis, rpm: int, steps: list[tuple[str, float, list[float], float]], wipes: set[int]
) -> None:
    tpm = rpm * 200
    world = World(valkey, Limits(requests_per_minute=rpm, tokens_per_minute=tpm))
    for number, (owner, dt, costs, _) in enumerate(steps):
        world.now += dt
        if number in wipes:
            world.wipe()
        world.ask(owner, [max(1, int(share * tpm / 100)) for share in costs])
    assert world.fullest(1, MINUTE) <= rpm
    assert world.fullest(2, MINUTE) <= tpm


@pytest.mark.parametrize("every", [1.0, 0.3])
def test_a_redis_that_is_wiped_again_and_again_is_never_full(valkey: redis.Redis, every: float) -> None:
    world = World(valkey, Limits(requests_per_minute=3000, tokens_per_minute=600_000))
    wiped = world.now
    while world.now < 1_000_000 + 90:
        if world.now - wiped > every:
            world.wipe()
            wiped = world.now
        world.ask("abcd"[int(world.now * 20) % 4], [200] * 64)
        world.now += 0.05
    assert world.fullest(1) <= 3000
    assert 0.7 * 3000 * 1.5 < len(world.grants) <= 3000 * 1.5


@pytest.mark.parametrize(
    ("limits", "cost", "binding"),
    [
        (Limits(requests_per_minute=3000, tokens_per_minute=600_000), 150, 1),
        (Limits(requests_per_minute=3000, tokens_per_minute=600_000), 250, 2),
        (Limits(requests_per_minute=60), 1, 1),
        (Limits(tokens_per_minute=40_000), 700, 2),
    ],
)
def test_what_a_limit_allows_is_used(valkey: redis.Redis, limits: Limits, cost: int, binding: int) -> None:
    world = World(valkey, limits)
    world.ask("a", [])
    start = world.now
    while world.now < start + 180:
        world.ask("abcd"[int(world.now * 10) % 4], [cost] * 64)
        world.now += 0.1
    limit = (limits.requests_per_minute, limits.tokens_per_minute)[binding - 1]
    assert limit is not None
    assert sum(grant[binding] for grant in world.grants) >= 0.95 * 3 * limit
    assert world.fullest(binding) <= limit
    assert world.fullest(binding, 0.01) <= max(limit * 0.011, cost if binding == 2 else 1)


def test_what_was_reserved_and_not_used_comes_back(valkey: redis.Redis) -> None:
    world = World(valkey, Limits(tokens_per_minute=60_000))
    flying: list[tuple[float, Reply, list[float]]] = []
    start = world.now
    while world.now < start + 180:
        before = len(world.grants)
        reply = world.ask("a", [300] * 20)
        flying += [(world.now + 1, reply, grant) for grant in world.grants[before:]]
        for _, granted, grant in [one for one in flying if one[0] <= world.now]:
            world.settle("a", granted, grant, 200)
        flying = [one for one in flying if one[0] > world.now]
        world.now += 0.1
    assert world.fullest(2) <= 60_000
    used = [grant for grant in world.grants if grant[0] >= start + 60]
    assert sum(grant[2] for grant in used) >= 0.94 * 2 * 60_000


def test_a_small_experiment_that_comes_later_gets_half(valkey: redis.Redis) -> None:
    world = World(valkey, Limits(requests_per_minute=600))
    world.ask("a", [])
    turns: list[tuple[str, str]] = [("a", "big"), ("b", "big"), ("c", "big"), ("d", "small")]

    def play(seconds: float, small: bool) -> Counter[str]:
        world.by_tenant.clear()
        end, number = world.now + seconds, 0
        while world.now < end:
            owner, tenant = turns[number % 4]
            if small or tenant == "big":
                world.ask(owner, [1] * 20, tenant)
            world.now += 0.013
            number += 1
        return +world.by_tenant

    alone = play(30, small=False)["big"]
    both = play(30, small=True)
    assert both["small"] == pytest.approx(both["big"], rel=0.1)
    assert both.total() == pytest.approx(alone, rel=0.1)
    # What the small one leaves, the big one has again within moments.
    assert play(30, small=False)["big"] == pytest.approx(alone, rel=0.1)


def test_experiments_in_one_process_take_turns(valkey: redis.Redis) -> None:
    world = World(valkey, Limits(requests_per_minute=6000))
    bucket = Bucket(valkey, world.name, world.limits, "a")
    bucket.ask(Report(), 0, now=world.now)
    reply = bucket.ask(Report(), 0, [("big", [1] * 60), ("small", [1] * 5)], now=world.now + 0.2)
    assert reply.granted == [14, 5]


def test_concurrency_is_shared_and_a_dead_replicas_slots_come_back(valkey: redis.Redis) -> None:
    world = World(valkey, Limits(concurrency=10))
    assert world.ask("a", [1] * 20).granted == [0], "after a wipe, whoever has some in flight says so first"
    world.ask("b", [], held=4)
    world.now += 0.6
    assert world.ask("a", [1] * 20).granted == [6]
    reply = world.ask("b", [1] * 20, held=4)
    assert (reply.granted, reply.why) == ([0], "concurrency")
    assert world.ask("b", [1] * 20, held=1).granted == [3]
    world.now += 9
    world.ask("b", [], held=4)
    world.now += 2
    assert world.ask("b", [1] * 20, held=4).granted == [6], "a has not been heard of for ten seconds"
    world.wipe()
    world.ask("a", [1] * 20, held=6)
    world.ask("b", [1] * 20, held=4)
    world.now += 0.6
    assert world.ask("a", [1] * 20, held=6).granted == [0]


def test_a_pause_is_everybodys(valkey: redis.Redis) -> None:
    world = World(valkey, Limits())
    assert world.ask("a", [1]).granted == [1]
    assert world.ask("a", [], pause=7.0).paused == 7
    reply = world.ask("b", [1])
    assert (reply.granted, reply.why, reply.wait) == ([0], "pause", 7)
    world.ask("b", [], pause=-1.0)
    world.now += 7
    assert world.ask("b", [1]).granted == [1]
    # Where it is not said for how long: longer each time, until something succeeds.
    waits = []
    for _ in range(3):
        waits.append(world.ask("a", [], pause=-1.0).paused)
        world.now += waits[-1] + 0.01
    assert waits[0] < waits[1] < waits[2] < 3
    world.ask("a", [], ok=True)
    assert world.ask("a", [], pause=-1.0).paused < 0.7


def test_headers_teach_the_limits_and_what_is_left_of_them(valkey: redis.Redis) -> None:
    world = World(valkey, Limits())
    assert world.ask("a", [1] * 64).granted == [64]
    assert world.ask("a", [], rates=Rates(limit_requests=120)).requests_per_minute == 120
    world.now += 2
    assert world.ask("b", [1] * 64).granted == [1], "its burst is small, and it began empty"
    world.now += 1
    world.ask("a", [], rates=Rates(limit_requests=120, remaining_requests=0))
    assert world.ask("b", [1] * 64).granted == [0]
    world.now += SPAN / 120
    assert world.ask("b", [1] * 64).granted == [1]


def test_a_failing_endpoint_is_tried_by_one_request_of_one_replica(valkey: redis.Redis) -> None:
    world = World(valkey, Limits())
    world.ask("a", [], failures=3, error="refused")
    assert world.ask("b", [], failures=60).down is None, "many at one moment are a moment's trouble"
    assert world.ask("b", [1]).granted == [1]
    world.now += 1
    opened = world.ask("b", [], failures=1, error="cannot be reached")
    assert opened.down == 0 and opened.error == "cannot be reached" and opened.probe is not None
    waits = []
    for _ in range(5):
        assert world.ask("a", [1]).why == "circuit"
        reply = world.ask("b", [])
        assert reply.probe is not None
        waits.append(reply.probe)
        world.now += reply.probe
        assert world.ask("a", [1] * 5).granted == [1]
        assert world.ask("b", [1] * 5).granted == [0]
        world.ask("a", [], failures=1, error="still")
    assert waits[0] < 1.3 < waits[1] < 2.6 < waits[3] < 7
    world.now += 10
    assert world.ask("c", [1] * 5).granted == [1]
    assert world.ask("c", [1] * 5, ok=True).granted == [5]


def test_of_different_limits_the_lowest_counts_for_all_while_whoever_was_given_it_asks(valkey: redis.Redis) -> None:
    low = World(valkey, Limits(requests_per_minute=60, concurrency=3))
    high = World(valkey, Limits(requests_per_minute=600), now=low.now, name=low.name, grants=low.grants)

    def play(seconds: float, both: bool) -> Counter[str]:
        low.by_tenant.clear()
        high.by_tenant.clear()
        end = high.now + seconds
        while high.now < end:
            high.now = low.now = high.now + 0.05
            high.ask("h", [1] * 9, "high")
            if both:
                low.ask("l", [1] * 9, "low")
        return low.by_tenant + high.by_tenant

    play(2, both=True)
    shared = play(30, both=True)
    assert 25 <= shared.total() <= 32 and min(shared["low"], shared["high"]) >= 10
    assert high.ask("h", [1] * 5, held=3).concurrency == 3
    high.now += 11
    assert high.ask("h", [], held=3).concurrency is None, "ten seconds after the last word"
    play(SPAN, both=False)
    assert play(30, both=False)["high"] >= 0.9 * 300


def test_a_request_larger_than_the_limit_goes_alone(valkey: redis.Redis) -> None:
    world = World(valkey, Limits(tokens_per_minute=1000))
    while world.now < 1_000_000 + 300:
        world.ask("a", [1500])
        world.now += 0.25
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(world.grants)]
    assert len(gaps) >= 2 and all(gap == pytest.approx(1.5 * SPAN, abs=1) for gap in gaps)


@dataclass
class Silent:
    """An endpoint that lets in so many a minute, evenly, and says nothing of it but 429."""

    per_minute: float
    burst: float
    level: float = 0.0
    at: float = 0.0
    answers: Counter[bool] = field(default_factory=Counter)

    def ask(self, now: float) -> bool:
        self.level, self.at = min(self.burst, self.level + (now - self.at) * self.per_minute / 60), now
        good = self.level >= 1
        self.level -= good
        self.answers[good] += 1
        return good


@pytest.mark.parametrize(("per_minute", "burst"), [(60, 60), (600, 10), (6, 1)])
def test_an_endpoint_that_says_429_and_no_limit_is_asked_at_a_pace_that_it_bears(
    valkey: redis.Redis, per_minute: float, burst: float
) -> None:
    world, endpoint = World(valkey, Limits()), Silent(per_minute, burst)
    flying: list[tuple[float, str, bool]] = []

    def play(seconds: float) -> Counter[bool]:
        endpoint.answers.clear()
        end, number = world.now + seconds, 0
        while world.now < end:
            world.now += 0.13
            owner = "ab"[(number := number + 1) % 2]
            back = [good for due, whose, good in flying if due <= world.now and whose == owner]
            flying[:] = [one for one in flying if one[0] > world.now or one[1] != owner]
            bad = back.count(False)
            said: dict[str, Any] = {"ok": True, "answers": back.count(True)} if True in back else {}
            said |= {"throttled": bad, "pause": -1.0} if bad else {}
            reply = world.ask(owner, [1] * (32 - sum(one[1] == owner for one in flying)), **said)
            flying.extend((world.now + 0.3, owner, endpoint.ask(world.now)) for _ in range(sum(reply.granted)))
        return endpoint.answers

    play(60)
    steady = play(180)
    assert steady[True] >= 0.6 * 3 * per_minute
    assert steady[False] <= 0.1 * steady[True] + 4
    # It recovers by itself when the endpoint bears more.
    endpoint.per_minute, endpoint.burst = 4 * per_minute, max(endpoint.burst, per_minute / 15)
    play(240)
    assert play(60)[True] >= 0.6 * endpoint.per_minute


def test_one_429_with_a_time_is_a_pause_and_another_one_soon_after_a_pace(valkey: redis.Redis) -> None:
    world = World(valkey, Limits())
    for second in range(10):
        world.ask("a", [], ok=True, answers=100)
        world.now = 1_000_000.25 + second
    assert world.ask("a", [], throttled=3, pause=2.0).pace is None
    assert world.ask("b", [], throttled=3, pause=2.0).pace is None, "sent before the pause"
    world.now += 2.1
    assert world.ask("a", [1] * 64).granted == [64]
    world.now += 2.1
    pace = world.ask("a", [], throttled=60, pause=2.0).pace
    assert pace is not None and 2000 < pace < 6000
    world.now += 301
    world.ask("a", [])
    assert world.ask("a", []).pace is None, "forgotten after five minutes without a 429"


def test_what_an_endpoint_taught_outlives_a_wiped_redis(valkey: redis.Redis) -> None:
    world = World(valkey, Limits())
    bucket = Bucket(valkey, world.name, world.limits, "a")
    bucket.ask(Report(rates=Rates(limit_requests=120)), 0, now=world.now)
    bucket.ask(Report(answers=20, throttled=1, pause=-1.0), 0, now=world.now + 1)
    world.wipe()
    reply = bucket.ask(Report(), 0, [("e", [1] * 64)], now=world.now + 9)
    assert (reply.requests_per_minute, reply.granted) == (120, [0])
    assert reply.pace == pytest.approx(0.75 * 20 * 60, rel=0.2), "twenty answers in a second"


def test_a_clock_that_is_set_back_begins_an_empty_bucket(valkey: redis.Redis) -> None:
    world = World(valkey, Limits(requests_per_minute=600))
    world.ask("a", [])
    world.now += 30
    assert world.ask("a", [1] * 64).granted[0] > 0
    world.now -= 3600
    assert world.ask("a", [1] * 64).granted == [0]
    world.now += 2
    assert 0 < world.ask("a", [1] * 64).granted[0] <= 20


def test_the_buckets_name_never_holds_the_key() -> None:
    given_endpoint = {"provider": "openai", "base_url": "https://api.openai.com/v1", "model": "m"}
    names = [
        bucket_name(given_endpoint, "u", "env:KEY", "sk-1", "salt"),
        bucket_name(given_endpoint, "u", "env:KEY", "sk-2", "salt"),
        bucket_name(given_endpoint, "u", "env:KEY", "", "salt"),
        bucket_name(given_endpoint | {"model": "n"}, "u", "env:KEY", "sk-1", "salt"),
        bucket_name(given_endpoint, "u", "env:KEY", "sk-1", "pepper"),
    ]
    assert len(set(names)) == 5
    assert bucket_name(given_endpoint, "u", "env:OTHER", "sk-1", "salt") == names[0], "one account behind two names"
    assert not any("sk" in name for name in names)
