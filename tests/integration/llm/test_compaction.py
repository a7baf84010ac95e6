"""Compaction of the ledger's segments on a real store: what it leaves, and what interrupts it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Outage
from shared.llm import compaction
from shared.llm.chat import Answer
from shared.llm.compaction import compact, crowded
from shared.llm.entries import Entry, Scope, pack, split_lines, unpack
from shared.llm.session import Session
from shared.store import S3Store
from tests.integration.llm.asking import ask, requests
from tests.integration.llm.standin import StandIn
from tests.waiting import wait_until

NewSession = Callable[[Path | None], Session]
SCOPE = Scope.of({"provider": "openai", "model": "m", "base_url": "http://x/v1"})
FOLDER = f"ledger/{SCOPE.name}/"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments settle in no time, and few are many."""
    monkeypatch.setattr(compaction, "SETTLED", timedelta(minutes=-1))
    monkeypatch.setattr(compaction, "ENOUGH", 4)


def entry(number: int, text: str = "yes", at: float = 1.0) -> Entry:
    return Entry(f"{number:064x}", Answer(text, "stop", 3, 1, "m"), 0.5, "experiment", "stage", at)


def put(store: S3Store, name: str, *entries: Entry) -> None:
    data = SCOPE.header + b"".join(item.to_line() for item in entries)
    store.put(f"{FOLDER}{name}.jsonl.gz", pack(data))


def contents(store: S3Store, folder: str = FOLDER) -> dict[str, list[Entry]]:
    return {
        info.name: [Entry.from_line(line) for _, line in split_lines(unpack(store.get(info.name)))]
        for info in store.list(folder)
    }


def lookup(session: Session, *numbers: int) -> list[str]:
    session.ledger.refresh(SCOPE)
    found = session.ledger.lookup(entry(number).key for number in numbers)
    return [found[entry(number).key].answer.text for number in numbers]


def test_many_small_segments_become_one_with_the_oldest_answer_of_each_key(store: S3Store) -> None:
    for number in range(10):
        put(store, f"{number:026d}", entry(number), entry(99, f"at {20 - number}", at=20.0 - number))
    (group,) = crowded(store.list(FOLDER))
    name = compact(store, group)
    found = contents(store)
    assert list(found) == [name]
    assert sorted(item.key for item in found[str(name)]) == sorted(entry(n).key for n in [*range(10), 99])
    assert {item.answer.text for item in found[str(name)]} == {"yes", "at 11"}


def test_few_or_large_or_fresh_segments_are_left_alone(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        put(store, f"{number:026d}", entry(number))
    segments = list(store.list(FOLDER))
    assert crowded(segments[:4]) == []
    monkeypatch.setattr(compaction, "AT_ONCE", 3 * max(info.size for info in segments))
    assert [len(group) for group in crowded(segments)] == [3, 3, 3]
    monkeypatch.setattr(compaction, "SMALL", 10)
    assert crowded(segments) == []
    monkeypatch.undo()
    assert crowded(segments) == []


@pytest.mark.parametrize("broken", [b"no segment", pack(b'{"schema": "touchstone/ledger/9"}\n{}\n')])
def test_what_cannot_be_read_is_never_deleted(store: S3Store, broken: bytes) -> None:
    for number in range(5):
        put(store, f"{number:026d}", entry(number))
    store.put(f"{FOLDER}{9:026d}.jsonl.gz", broken)
    (group,) = crowded(store.list(FOLDER))
    name = compact(store, group)
    assert {info.name for info in store.list(FOLDER)} == {name, f"{FOLDER}{9:026d}.jsonl.gz"}


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("step", ["put", "get", "delete"])
def test_a_kill_at_any_step_loses_nothing(store: S3Store, session: Session, step: str) -> None:
    for number in range(6):
        put(store, f"{number:026d}", entry(number))
    (group,) = crowded(store.list(FOLDER))
    seen = [0]

    class Killed:
        """The store until its process is killed: in the middle of deleting, or after the write."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def put(self, name: str, data: bytes) -> None:
            if step == "put":
                raise Interrupted
            store.put(name, data)
            seen[0] = 1

        def get(self, name: str) -> bytes:
            if step == "get" and seen[0]:
                raise Interrupted
            return store.get(name)

        def delete(self, names: list[str]) -> None:
            store.delete(list(names)[:3])
            raise Interrupted

    interrupted: Any = Killed()
    with pytest.raises(Interrupted):
        compact(interrupted, group)
    assert lookup(session, *range(6)) == ["yes"] * 6
    for group in crowded(store.list(FOLDER)):
        compact(store, group)
    assert sorted({item.key for items in contents(store).values() for item in items}) == [
        entry(number).key for number in range(6)
    ]


def test_a_store_that_gives_back_something_else_keeps_the_old_segments(store: S3Store) -> None:
    for number in range(6):
        put(store, f"{number:026d}", entry(number))
    (group,) = crowded(store.list(FOLDER))
    names = {info.name for info in group}

    class Lossy:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def get(self, name: str) -> bytes:
            return store.get(name) if name in names else b""

    lossy: Any = Lossy()
    with pytest.raises(Outage, match="is not what was written"):
        compact(lossy, group)
    assert names <= {info.name for info in store.list(FOLDER)}


def test_two_compactors_at_once_do_no_harm(store: S3Store, session: Session) -> None:
    for number in range(40):
        put(store, f"{number:026d}", entry(number))
    (group,) = crowded(store.list(FOLDER))
    both = [threading.Thread(target=compact, args=(store, group)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert lookup(session, *range(40)) == ["yes"] * 40
    assert len(list(store.list(FOLDER))) <= 2


def test_a_reader_that_meets_a_vanished_segment_finds_its_answers_in_the_new_one(
    store: S3Store, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        put(store, f"{number:026d}", entry(number))
    real = S3Store.get
    raced: list[int] = []

    def compacted_meanwhile(self: S3Store, name: str) -> bytes:
        if not raced:
            raced.append(1)
            for group in crowded(store.list(FOLDER)):
                compact(store, group)
        return real(self, name)

    monkeypatch.setattr(S3Store, "get", compacted_meanwhile)
    assert lookup(session, *range(6)) == ["yes"] * 6


def test_the_oldest_answer_counts_on_every_host_whatever_it_saw_first(
    store: S3Store, new_session: NewSession, tmp_path: Path
) -> None:
    put(store, "b", entry(1, "second", at=2.0))
    first = new_session(None)
    assert lookup(first, 1) == ["second"]
    put(store, "a", entry(1, "first", at=1.0))
    put(store, "c", entry(1, "third", at=3.0))
    assert lookup(first, 1) == lookup(new_session(tmp_path / "other"), 1) == ["first"]


def test_a_replica_compacts_after_its_work(session: Session, stand_in: StandIn, store: S3Store) -> None:
    for number in range(8):
        ask(session, stand_in.url, requests(3, f"{number}-"))
    wait_until(lambda: max(map(len, contents(store, "ledger/").values())) > 3, 20, "a segment made of others")
    answers = ask(session, stand_in.url, [item for number in range(8) for item in requests(3, f"{number}-")])
    assert answers.sent == 0
    assert sum(len(items) for items in contents(store, "ledger/").values()) >= 24
