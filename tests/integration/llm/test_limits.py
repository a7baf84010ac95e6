"""Limits, pauses and outages of an endpoint, as its replicas keep them together: measured where requests arrive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import redis

from shared.errors import Outage, Stopped
from shared.llm import limits
from shared.llm.caller import Origin
from shared.llm.endpoints import Endpoint
from shared.llm.providers.base import Limits
from shared.llm.session import Session
from tests.integration.llm.asking import Watcher, ask, requests
from tests.integration.llm.standin import StandIn, completion, refusal
from tests.integration.llm.traffic import start_simulator, traffic
from tests.stack import Stack
from tests.waiting import wait_until

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


def test_headers_teach_a_limit_that_the_spec_does_not_give(session: Session, stand_in: StandIn) -> None:
    times: list[float] = []

    def reply(prompt: str, before: int) -> tuple[int, object, dict[str, str]]:
        times.append(time.monotonic())
        headers = {"limit": "600", "remaining": "500", "reset": "1s"}
        return 200, completion(prompt), {f"x-ratelimit-{name}-requests": value for name, value in headers.items()}

    stand_in.reply = reply
    ask(session, stand_in.url, requests(40))
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
