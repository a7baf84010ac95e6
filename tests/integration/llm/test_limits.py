"""Limits, pauses and outages of an endpoint, as its replicas keep them together: measured where requests arrive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Event, Thread

import pytest
import redis

from shared.errors import Outage, Stopped
from shared.llm import limits
from shared.llm.caller import Origin
from shared.llm.endpoints import Endpoint
from shared.llm.entries import unpack
from shared.llm.providers.base import Limits
from shared.llm.session import Session
from shared.store import S3Store
from tests.integration.llm.asking import Watcher, ask, requests
from tests.integration.llm.standin import StandIn, completion, refusal
from tests.integration.llm.traffic import start_simulator, traffic
from tests.provider import start_provider
from tests.stack import Stack
from tests.waiting import wait_until

EMPTY = {"limit": "60000", "remaining": "0", "reset": "2s"}
"""Nothing is left of a limit, and a window ends soon."""

NewSession = Callable[[Path | None], Session]


def start_replica(stack: Stack, name: str, count: int, seed: int, experiment: str = "e", **given: float) -> None:
    """A process that asks `count` requests of its own."""
    words = ["-m", "tests.integration.llm.asking", str(count), "--seed", str(seed), "--experiment", experiment]
    data = str(stack.folder / "work" / name)
    stack.start(name, [*words, "--limits", json.dumps(given)], TOUCHSTONE_DATA_DIR=data)


def wait_done(stack: Stack, names: Sequence[str], timeout: float) -> None:
    wait_until(lambda: not any(stack.alive(name) for name in names), timeout, "the replicas to finish", every=0.2)
    assert [stack.log(name) for name in names if stack.processes[name].returncode] == []


def fullest(times: Sequence[float], window: float) -> int:
    """The most arrivals within any such time."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= window:
            first += 1
        most = max(most, last - first + 1)
    return most


def arrivals(log: Path) -> list[float]:
    return sorted(line["arrived"] for line in traffic(log))


@contextmanager
def wiping(client: redis.Redis, every: float = 1.0) -> Iterator[None]:
    """FLUSHALL again and again."""
    done = Event()

    def wipe() -> None:
        while not done.wait(every):
            client.flushall()

    thread = Thread(target=wipe)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
def test_four_replicas_share_a_limit_even_if_redis_is_wiped_every_second(stack: Stack) -> None:
    log = start_simulator(stack)
    names = [f"asking-{number}" for number in range(4)]
    with wiping(stack.redis):
        for seed, name in enumerate(names):
            start_replica(stack, name, 50, seed, requests_per_minute=2000)
        wait_done(stack, names, 90)
    times = arrivals(log)
    assert len(times) == 200
    for window in (1.0, 4.0):
        # What a second brings, one more for requests that arrive late, and the burst.
        assert fullest(times, window) <= 2000 / 60 * (window + 1) + 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_replicas_use_a_limit_for_five_minutes_and_never_pass_it(stack: Stack) -> None:
    log = start_simulator(stack, latency_ms=300)
    names = [f"asking-{number}" for number in range(4)]
    for seed, name in enumerate(names):
        start_replica(stack, name, 3700, seed, requests_per_minute=3000, tokens_per_minute=600_000)
    wait_done(stack, names, 500)
    times = arrivals(log)
    assert fullest(times, 60) <= 3000
    steady = [at for at in times if times[0] + 2 < at <= times[0] + 282]
    assert len(steady) >= 0.95 * 3000 * 280 / 60


@pytest.mark.slow
def test_a_big_experiment_does_not_starve_a_small_one(stack: Stack) -> None:
    start_simulator(stack)
    for number in range(2):
        start_replica(stack, f"big-{number}", 10_000, number, "big", requests_per_minute=1200)
    log = stack.folder / "traffic.jsonl"
    wait_until(lambda: len(traffic(log)) > 60, 60, "the big one to be under way")
    start_replica(stack, "small-0", 50, 7, "small", requests_per_minute=1200)
    wait_until(lambda: (stack.settings.data_dir / "small-0" / "wal").exists(), 30, "the small one to start")
    began = time.time()
    wait_done(stack, ["small-0"], 40)
    # Half of the rate is ten a second; its claims take two seconds first.
    assert time.time() - began < 2 * 50 / 10 + 2


def test_concurrency_is_shared_by_replicas(new_session: NewSession, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.latency = 0.05
    endpoint = Endpoint("judge", limits=Limits(concurrency=6))
    sessions = [new_session(tmp_path / str(number)) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        asking = [
            pool.submit(ask, session, stand_in.url, requests(30, f"{number}-"), None, endpoint)
            for number, session in enumerate(sessions)
        ]
        assert sum(future.result().sent for future in asking) == 90
    assert 4 <= stand_in.most_at_once <= 6


@pytest.mark.slow
def test_neither_wipes_nor_a_killed_replica_let_more_be_in_flight_than_the_spec_allows(stack: Stack) -> None:
    provider = start_provider(stack, '{"latency_ms": 200}')
    names = [f"asking-{number}" for number in range(3)]
    with wiping(stack.redis):
        for seed, name in enumerate(names):
            start_replica(stack, name, 40, seed, concurrency=6)
        wait_until(lambda: provider.stats()["requests"] > 30, 60, "requests")
        stack.kill("asking-0")
        wait_done(stack, names[1:], 90)
    stats = provider.stats()
    assert stats["most_at_once"] <= 6 and stats["distinct"] >= 80


@pytest.mark.slow
def test_of_two_experiments_limits_for_one_endpoint_the_lower_counts_and_both_get_on(stack: Stack) -> None:
    log = start_simulator(stack)
    start_replica(stack, "low-0", 40, 0, "low", requests_per_minute=480)
    start_replica(stack, "high-0", 40, 1, "high", requests_per_minute=6000)
    wait_done(stack, ["low-0", "high-0"], 90)
    times = arrivals(log)
    both = [at for at in times if at > times[0] + 4]
    assert len(times) == 80
    # What a second brings, one more for requests that arrive late, and the burst.
    assert fullest(both, 4.0) <= 480 / 60 * (4 + 1) + 5


@pytest.mark.slow
def test_replicas_find_the_pace_of_an_endpoint_that_says_429_and_nothing_else(stack: Stack) -> None:
    faults = {"latency_ms": 100, "requests_per_minute": 900, "enforce": "bucket", "burst_s": 2, "limit_headers": False}
    provider = start_provider(stack, json.dumps(faults))
    for seed in range(2):
        start_replica(stack, f"asking-{seed}", 120, seed)
    wait_done(stack, ["asking-0", "asking-1"], 150)
    stats = provider.stats()
    assert stats["answered"] == 240
    # Each of the 128 that are in flight at first may be refused once; afterwards few are.
    assert stats["refused"] < 128 + 80


@pytest.mark.slow
def test_people_are_told_of_a_pace_learnt_from_429s(session: Session, stand_in: StandIn) -> None:
    good = {"q0", "q1", "q2", "q3"}
    stand_in.reply = lambda prompt, before: (200, completion("a"), {}) if prompt in good else (429, refusal("busy"), {})
    watch = Watcher()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, session, stand_in.url, requests(8), watch)
        wait_until(lambda: any("429s" in note for note in watch.notes), 40, "the reason")
        watch.reason = Stopped("cancelled")
        with pytest.raises(Stopped):
            future.result()
    (note,) = {note.partition(":")[0] for note in watch.notes if "429s" in note}
    assert note == "a pace learnt from the endpoint's 429s, models.judge"


def in_two_seconds() -> str:
    # Whole seconds: at least two from now.
    return format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, lambda: {"retry-after": "2"}),
        pytest.param(503, lambda: {"retry-after-ms": "2000"}, marks=pytest.mark.slow),
        pytest.param(429, lambda: {"retry-after": in_two_seconds()}, marks=pytest.mark.slow),
        (200, lambda: {f"x-ratelimit-{name}-requests": value for name, value in EMPTY.items()}),
        (200, lambda: {f"anthropic-ratelimit-tokens-{name}": value for name, value in EMPTY.items()}),
    ],
)
def test_nothing_is_sent_for_as_long_as_an_answer_says(
    session: Session, stand_in: StandIn, status: int, headers: Callable[[], dict[str, str]]
) -> None:
    times: list[float] = []

    def reply(prompt: str, before: int) -> tuple[int, object, dict[str, str]]:
        times.append(time.monotonic())
        if len(times) > 1:
            return 200, completion(prompt), {}
        return status, completion(prompt) if status == 200 else refusal("later"), headers()

    stand_in.reply = reply
    assert ask(session, stand_in.url, requests(4)).sent == 4
    assert 1.9 < times[1] - times[0] < 15


def test_a_key_is_nowhere_in_the_clear_and_each_key_has_its_own_limit(
    session: Session, stand_in: StandIn, store: S3Store, redis_server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"FIRST_KEY": "sk-first-of-two", "SECOND_KEY": "sk-second-of-two"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    session.settings = session.settings.model_copy(update={"api_keys": {name: ["127.0.0.1"] for name in secrets}})
    for name in secrets:
        endpoint = Endpoint("judge", api_key=f"env:{name}", limits=Limits(requests_per_minute=600))
        ask(session, stand_in.url, requests(5, name), endpoint=endpoint)
    assert {one["authorization"] for one in stand_in.headers} == {f"Bearer {value}" for value in secrets.values()}
    names = redis_server.keys("*")
    assert len([name for name in names if name.startswith(b"rate:") and name.endswith(b"state")]) == 2
    written = [*names, *(redis_server.dump(name) or b"" for name in names)]
    written += [path.read_bytes() for path in session.settings.data_dir.rglob("*") if path.is_file()]
    written += [unpack(store.get(info.name)) for info in store.list("ledger/")]
    assert len(written) > 2 * len(names)
    assert not any(value.encode() in one for one in written for value in secrets.values())


@pytest.mark.slow
def test_a_request_to_slow_down_is_heeded_by_all_replicas(
    new_session: NewSession, stand_in: StandIn, tmp_path: Path
) -> None:
    times: list[float] = []

    def reply(prompt: str, before: int) -> tuple[int, object, dict[str, str]]:
        times.append(time.monotonic())
        if len(times) == 31:
            return 429, refusal("slow down"), {"retry-after": "3"}
        return 200, completion(prompt), {}

    stand_in.reply, stand_in.latency = reply, 0.05
    sessions = [new_session(tmp_path / str(number)) for number in range(2)]
    for session in sessions:
        session.settings = session.settings.model_copy(update={"request_concurrency": 4})
    with ThreadPoolExecutor(2) as pool:
        asking = [
            pool.submit(ask, session, stand_in.url, requests(150, f"{number}-"))
            for number, session in enumerate(sessions)
        ]
        wait_until(lambda: len(times) > 31, 20, "the request to slow down")
        told = times[30]
        assert sum(future.result(60).sent for future in asking) == 300
    # Others hear of it within a second; until then they know nothing.
    assert not [at for at in times if told + 1 < at < told + 2.9]


@pytest.mark.parametrize("given", [Limits(), Limits(requests_per_minute=60_000)])
def test_headers_teach_a_limit_that_the_spec_does_not_give_or_gives_too_high(
    session: Session, stand_in: StandIn, given: Limits
) -> None:
    times: list[float] = []

    def reply(prompt: str, before: int) -> tuple[int, object, dict[str, str]]:
        times.append(time.monotonic())
        headers = {"limit": "600", "remaining": "500", "reset": "1s"}
        return 200, completion(prompt), {f"x-ratelimit-{name}-requests": value for name, value in headers.items()}

    stand_in.reply = reply
    ask(session, stand_in.url, requests(40), endpoint=Endpoint("judge", limits=given))
    assert times[-1] - times[1] > 0.8 * 38 / 10


def test_a_dead_endpoint_is_left_alone_and_found_again(
    new_session: NewSession, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DOWN_AFTER", 2.0)
    stand_in.reply = lambda prompt, before: (503, refusal("out of order"), {})
    sessions = [new_session(tmp_path / str(number)) for number in range(4)]
    reasons: list[str] = []

    def keep_asking(session: Session) -> int:
        while True:
            try:
                return ask(session, stand_in.url, requests(20, str(id(session)))).sent
            except Outage as outage:
                reasons.append(str(outage))
                time.sleep(0.5)

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking, session) for session in sessions]
        wait_until(lambda: len(reasons) >= 4, 60, "the outage to be said")
        before = stand_in.asked.total()
        # The first tries of four replicas, and one at a time since.
        assert before < 40
        stand_in.reply = lambda prompt, before: (200, completion("back"), {})
        began = time.monotonic()
        assert sum(future.result(60) for future in asking) == 80
    assert time.monotonic() - began < 15
    said = [reason for reason in reasons if "down for" in reason]
    assert said and said[0].startswith("models.judge.base_url: 503: out of order (down for ")
    assert "tried again in" in said[0]


@pytest.mark.slow
def test_without_redis_a_limited_endpoint_is_not_asked(stack: Stack) -> None:
    log = start_simulator(stack)
    start_replica(stack, "asking-1", 150, 1, requests_per_minute=2400)
    wait_until(lambda: len(traffic(log)) > 20, 60, "requests")
    stack.kill("valkey")
    away = time.time()
    wait_until(lambda: "redis_away" in stack.log("asking-1"), 30, "the loss to be noticed")
    held = len([at for at in arrivals(log) if at > away])
    assert held <= 24 + 40 * 0.5
    back = time.time()
    stack.start_valkey()
    wait_done(stack, ["asking-1"], 60)
    assert len([at for at in arrivals(log) if away + 0.5 < at < back]) == 0
    assert len(traffic(log)) == 150


def test_people_are_told_what_is_waited_for_and_the_line_is_left_at_once(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, endpoint = Watcher(), Endpoint("judge", limits=Limits(requests_per_minute=2))
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, session, stand_in.url, requests(5), watch, endpoint, Origin("e", "s"))
        wait_until(lambda: watch.notes, 20, "the reason")
        assert watch.notes[0].startswith("rate limit, models.judge: next slot in ")
        watch.reason = Stopped("cancelled")
        began = time.monotonic()
        with pytest.raises(Stopped, match="cancelled"):
            future.result()
        assert time.monotonic() - began < 5
    assert not stand_in.asked
