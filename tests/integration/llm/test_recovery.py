"""What is found after a kill at any step, on the same host and on others, with a local index in any state: no answer is
asked for again, and none is taken for lost while somebody still uploads it."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.errors import Outage
from shared.llm.chat import Answer, request_key
from shared.llm.claims import Claims
from shared.llm.entries import Entry, Scope, pack, split_lines, unpack
from shared.llm.providers.openai import OpenAIModel
from shared.llm.session import Session
from shared.llm.wal import WalFile
from shared.store import S3Store
from tests.integration.llm.asking import STEPS, ask, requests
from tests.integration.llm.standin import StandIn
from tests.integration.llm.traffic import WRITTEN, start_simulator, traffic
from tests.stack import Stack
from tests.waiting import wait_until

NewSession = Callable[[Path | None], Session]
ASKED = 300
LATE = 1.0
"""Seconds after which a busy simulator has seen what was sent to it: by then the sender may be dead, and nobody who was
started since sends anything."""
OTHER_INDEX = "CREATE TABLE segments (name TEXT); CREATE TABLE answers (key TEXT); PRAGMA user_version = 7"


def start_asking(stack: Stack, name: str, *options: str, host: str = "work") -> None:
    words = ["-m", "tests.integration.llm.asking", str(ASKED), *options]
    data = str(stack.folder / host)
    stack.start(name, words, TOUCHSTONE_REQUEST_CONCURRENCY="8", TOUCHSTONE_DATA_DIR=data)


def ended(stack: Stack, name: str) -> int:
    """How a process ended."""
    wait_until(lambda: not stack.alive(name), 60, f"{name} to end")
    return int(stack.processes[name].returncode)


def death(stack: Stack, name: str) -> float:
    """When a process killed itself last."""
    return float(stack.log(name).rpartition("died at ")[2].split()[0])


def asked_again(log: Path, died: list[float]) -> list[str]:
    """Requests that were sent again although no process died while they were in flight, or within a moment after."""
    found: list[str] = []
    last: dict[str, dict[str, Any]] = {}
    for line in sorted(traffic(log), key=lambda line: float(line["arrived"])):
        before = last.get(line["hash"])
        last[line["hash"]] = line
        if before is None:
            continue
        sent = before["arrived"] - LATE
        until = before["answered"] + WRITTEN if before["answered"] else line["arrived"]
        if not any(sent <= at <= until for at in died):
            found.append(line["hash"])
    return found


def in_store(stack: Stack) -> list[str]:
    """The keys of all entries of all segments."""
    store = stack.store
    return [key for info in store.list("ledger/") for key, _ in split_lines(unpack(store.get(info.name)))]


def test_a_kill_after_any_step_of_the_ledgers_work_costs_no_answer(stack: Stack) -> None:
    log = start_simulator(stack)
    died: list[float] = []
    for step in STEPS:
        start_asking(stack, "asking", "--die-after", step)
        assert ended(stack, "asking") == -9, f"{step}: {stack.log('asking')}"
        died.append(death(stack, "asking"))
    start_asking(stack, "asking")
    assert ended(stack, "asking") == 0, stack.log("asking")
    assert asked_again(log, died) == []
    assert len({line["hash"] for line in traffic(log)}) == len(set(in_store(stack))) == ASKED
    # Only what was in flight at a kill.
    assert len(traffic(log)) <= ASKED + 2 * 8 * len(STEPS)
    assert not [path for path in (stack.settings.data_dir / "wal").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_another_host_waits_for_a_killed_ones_answers_until_it_is_back(stack: Stack) -> None:
    log = start_simulator(stack)
    start_asking(stack, "asking-1", "--die-after", "append", host="first")
    assert ended(stack, "asking-1") == -9
    died = death(stack, "asking-1")
    before = len(traffic(log))
    start_asking(stack, "asking-2", host="second")
    # It has looked, and asks for nothing: the dead process had claimed everything, and may have been answered.
    wait_until((stack.folder / "second" / "ledger.sqlite").exists, 30, "the other host to look")
    assert len(traffic(log)) == before
    start_asking(stack, "asking-3", host="first")
    assert [ended(stack, name) for name in ("asking-2", "asking-3")] == [0, 0]
    assert asked_again(log, [died]) == []
    assert len({line["hash"] for line in traffic(log)}) == len(set(in_store(stack))) == ASKED


@pytest.mark.parametrize("harm", ["deleted", "garbage", "cut", "another version's"])
def test_a_local_index_in_any_state_costs_no_request(
    new_session: NewSession, stand_in: StandIn, tmp_path: Path, harm: str
) -> None:
    first = new_session(tmp_path / "host")
    ask(first, stand_in.url, requests(300))
    first.ledger._index.close()
    path = tmp_path / "host" / "ledger.sqlite"
    data = path.read_bytes()
    path.unlink()
    if harm == "garbage":
        path.write_bytes(b"no database" * 1000)
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "another version's":
        with sqlite3.connect(path) as other:
            other.executescript(OTHER_INDEX)
        other.close()
    again = new_session(tmp_path / "host")
    assert ask(again, stand_in.url, requests(300)).sent == 0
    assert set(stand_in.asked.values()) == {1}


def test_an_index_that_breaks_between_two_looks_costs_no_request(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(session, stand_in.url, requests(30))
    ledger = session.ledger
    real, broken = ledger.refresh, list[int]()

    def refresh(scope: Scope) -> None:
        real(scope)
        if not broken:
            broken.append(1)
            other = sqlite3.connect(session.settings.data_dir / "ledger.sqlite")
            other.executescript("DROP TABLE answers; CREATE TABLE answers (key TEXT)")
            other.close()

    monkeypatch.setattr(ledger, "refresh", refresh)
    assert ask(session, stand_in.url, requests(31)).sent == 1
    assert broken and set(stand_in.asked.values()) == {1}


def test_a_locked_index_keeps_requests_waiting_and_sends_none_twice(
    session: Session, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(session, stand_in.url, requests(30))
    session.ledger._index.close()
    monkeypatch.setattr("shared.llm.index.BUSY_SECONDS", 0.1)
    other = sqlite3.connect(session.settings.data_dir / "ledger.sqlite", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Outage, match="local index"):
        ask(session, stand_in.url, requests(40))
    other.execute("ROLLBACK")
    other.close()
    assert ask(session, stand_in.url, requests(40)).sent == 10
    assert set(stand_in.asked.values()) == {1}


def test_the_data_folder_may_vanish_while_answers_come(session: Session, stand_in: StandIn) -> None:
    ask(session, stand_in.url, requests(10))
    stand_in.latency = 0.3
    rival = threading.Thread(target=ask, args=(session, stand_in.url, requests(60)))
    rival.start()
    wait_until(lambda: len(stand_in.asked) > 40, 20, "requests in flight")
    for path in sorted(session.settings.data_dir.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    rival.join()
    assert ask(session, stand_in.url, requests(60)).sent == 0
    assert set(stand_in.asked.values()) == {1}


def test_a_dead_process_s_claims_are_kept_while_another_uploads_its_answers(
    new_session: NewSession,
    stand_in: StandIn,
    redis_server: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = tmp_path / "host"
    identity = OpenAIModel(provider="openai", model="m", base_url=stand_in.url).identity()
    (asked,) = requests(1)
    key = request_key(identity, asked)
    dead = Claims(redis_server, host / "wal")
    assert dead.claim([key], lambda: None) == {key}
    first, second = new_session(host), new_session(host)
    real, begun, go_on = S3Store.put, threading.Event(), threading.Event()

    def slow(self: S3Store, name: str, data: bytes) -> None:
        if name.startswith("ledger/"):
            begun.set()
            go_on.wait(20)
        real(self, name, data)

    monkeypatch.setattr(S3Store, "put", slow)
    # The owner dies while the first one looks through the folder: it has seen the owner alive, and its file dead.
    scope = Scope.of(identity)
    file = WalFile.create(host / "wal", scope.name, scope.header, dead.owner)
    file.append(Entry(key, Answer("from the dead", "stop")).to_line())
    file.close()
    recovering = threading.Thread(target=first.ledger.recover)
    recovering.start()
    assert begun.wait(20)
    dead.close(settled=False)
    second.ledger.recover()
    assert not redis_server.exists(f"claim-dead:{dead.owner}")
    go_on.set()
    recovering.join()
    second.ledger.recover()
    assert redis_server.exists(f"claim-dead:{dead.owner}")
    answers = ask(new_session(tmp_path / "elsewhere"), stand_in.url, [asked])
    assert [entry.answer.text for entry in answers.entries] == ["from the dead"]
    assert not stand_in.asked


def test_a_segment_of_another_version_is_kept_for_the_version_that_reads_it(
    new_session: NewSession, stand_in: StandIn, store: S3Store, tmp_path: Path
) -> None:
    first = new_session(None)
    ask(first, stand_in.url, requests(5))
    (info,) = store.list("ledger/")
    ours = unpack(store.get(info.name))
    theirs = ours.replace(b"touchstone/ledger/1", b"touchstone/ledger/2", 1)
    store.put(info.name, pack(theirs))
    host = tmp_path / "host"
    second = new_session(host)
    scope = Scope.of(OpenAIModel(provider="openai", model="m", base_url=stand_in.url).identity())
    left = WalFile.create(host / "wal", scope.name, theirs.partition(b"\n")[0] + b"\n", "theirs")
    left.append(b'{"what": "ever"}\n')
    left.close()
    second.ledger.refresh(scope)
    kept = {unpack(store.get(one.name)) for one in store.list("ledger/")}
    assert kept == {theirs, theirs.partition(b"\n")[0] + b'\n{"what": "ever"}\n'}
    # As after an upgrade, when it can be read: it was not taken for known.
    store.put(info.name, pack(ours))
    assert ask(second, stand_in.url, requests(5)).sent == 0
    assert set(stand_in.asked.values()) == {1}


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls of the store, and commands to Redis (as `redis`), from now on."""
    calls: Counter[str] = Counter()
    places = {S3Store: ("get", "put", "list", "delete"), redis.Redis: ("execute_command",)}
    for place, names in places.items():
        for name in names:
            real, what = getattr(place, name), "redis" if place is redis.Redis else name

            def call(self: Any, *args: Any, real: Any = real, what: str = what, **more: Any) -> Any:
                calls[what] += 1
                return real(self, *args, **more)

            monkeypatch.setattr(place, name, call)
    return calls


def test_a_shards_look_up_costs_no_round_trip_per_request(
    new_session: NewSession, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, count = new_session(None), 3000
    identity = OpenAIModel(provider="openai", model="m", base_url=stand_in.url).identity()
    scope, asked = Scope.of(identity), requests(count)
    for request in asked:
        session.ledger.append(scope, Entry(request_key(identity, request), Answer("yes", "stop", 3, 1), 0.0, "e", "s"))
    session.ledger.flush()
    other = new_session(tmp_path / "other")
    calls = counted(monkeypatch)
    for host, most in ((session, 0), (other, 20)):
        calls.clear()
        answers = ask(host, stand_in.url, asked)
        assert (answers.sent, len(answers.entries)) == (0, count)
        # Claims go by the thousand; the rest is heartbeats.
        commands = calls.pop("redis", 0)
        assert commands < count / 20 and calls.total() <= most, calls
    assert not stand_in.asked
