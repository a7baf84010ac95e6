"""Write-ahead files and segments: nothing whole is lost, nothing torn is used."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Outage
from shared.llm.chat import Answer
from shared.llm.entries import Entry, Scope, pack, split_lines, unpack
from shared.llm.index import Index
from shared.llm.wal import WalFile, abandoned, left_by, local_segments

SCOPE = Scope.of({"provider": "openai", "model": "gpt-4", "base_url": "http://x/v1", "sampling": {"top_p": 1}})


def entry(number: int, text: str = "yes") -> Entry:
    return Entry(f"{number:064x}", Answer(text, "stop", 3, 1, "m"), 0.5, "experiment", "stage", 12.25)


def written(folder: Path, *entries: Entry) -> WalFile:
    file = WalFile.create(folder, SCOPE.name, SCOPE.header, "owner")
    for item in entries:
        file.append(item.to_line())
    return file


@given(st.text(st.characters(), max_size=40))
def test_any_text_survives_as_one_line(text: str) -> None:
    line = entry(1, text).to_line()
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert Entry.from_line(line) == entry(1, text)
    assert split_lines(SCOPE.header + line) == [(entry(1).key, line.rstrip(b"\n"))]


def test_half_a_surrogate_pair_does_not_lose_the_answer() -> None:
    broken = entry(1, "\ud83d")
    assert Entry.from_line(broken.to_line()) == broken


@given(st.integers(0, 400))
def test_a_file_cut_anywhere_gives_its_whole_lines(cut: int) -> None:
    lines = [entry(number).to_line() for number in range(3)]
    data = (SCOPE.header + b"".join(lines))[: -cut or None]
    whole = [
        line for number, line in enumerate(lines) if len(SCOPE.header + b"".join(lines[: number + 1])) <= len(data)
    ]
    assert [line + b"\n" for _, line in split_lines(data)] == whole
    assert split_lines(unpack(pack(data))) == split_lines(data)


def test_a_broken_line_costs_no_other() -> None:
    data = SCOPE.header + entry(1).to_line() + b"\0\0\0\n" + b'{"key": 1}\n' + entry(2).to_line()
    assert [key for key, _ in split_lines(data)] == [entry(1).key, entry(2).key]


@pytest.mark.parametrize("header", [b'{"schema": "touchstone/ledger/9"}', b"[]", b"\0\0", b'"touchstone/ledger/1"'])
def test_another_versions_segment_is_not_taken_for_an_empty_one(header: bytes) -> None:
    with pytest.raises(ValueError, match="touchstone/ledger/1"):
        split_lines(header + b"\n" + entry(1).to_line())


def test_a_file_that_was_deleted_under_its_owner_still_gives_its_answers(tmp_path: Path) -> None:
    file = written(tmp_path, entry(1))
    file.path.unlink()
    file.append(entry(2).to_line())
    assert [key for key, _ in split_lines(file.read())] == [entry(1).key, entry(2).key]
    file.remove()


def test_equal_segments_are_equal_bytes() -> None:
    data = SCOPE.header + entry(1).to_line()
    assert pack(data) == pack(data)
    with pytest.raises(ValueError, match="ledger segment"):
        unpack(b"not gzip")


def test_a_scope_is_an_endpoint_and_model_whatever_the_sampling() -> None:
    identity = {"provider": "openai", "model": "gpt-4", "base_url": "http://x/v1"}
    assert Scope.of(identity) == SCOPE
    assert Scope.of({**identity, "model": "gpt-5"}).name != SCOPE.name


def test_a_living_owners_file_is_left_alone_and_a_dead_ones_is_found_once(tmp_path: Path) -> None:
    file = written(tmp_path, entry(1))
    assert list(abandoned(tmp_path)) == []
    file.close()
    (found,) = abandoned(tmp_path)
    assert list(abandoned(tmp_path)) == []
    assert [key for key, _ in split_lines(found.read())] == [entry(1).key]
    assert (found.scope, found.name) == (file.scope, file.name)
    found.remove()
    assert list(tmp_path.glob("*/*")) == []


def test_a_file_is_not_found_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[WalFile]] = []
    real = fcntl.flock

    def looked_for(fd: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            found.append(list(abandoned(tmp_path)))
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", looked_for)
    written(tmp_path).remove()
    assert found == [[]]


def test_everybody_on_the_host_can_read_what_is_being_written(tmp_path: Path) -> None:
    file = written(tmp_path, entry(1))
    assert [split_lines(data)[0][0] for data in local_segments(tmp_path, SCOPE.name)] == [entry(1).key]
    assert left_by(tmp_path, "owner") and not left_by(tmp_path, "other")
    file.remove()
    assert list(local_segments(tmp_path, SCOPE.name)) == []
    assert not left_by(tmp_path, "owner")


def test_a_full_disk_leaves_no_torn_line_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, entry(1))
    real, calls = os.write, iter([7])

    def full(fd: int, data: Any) -> int:
        for some in calls:
            return real(fd, bytes(data)[:some])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            file.append(entry(2).to_line())
    file.append(entry(3).to_line())
    assert [key for key, _ in split_lines(file.read())] == [entry(1).key, entry(3).key]


def rows(*numbers: int) -> list[tuple[str, bytes]]:
    return [(entry(number).key, entry(number).to_line()) for number in numbers]


def test_the_index_finds_lines_and_knows_its_segments(tmp_path: Path) -> None:
    index = Index(tmp_path / "ledger.sqlite")
    index.add(rows(1, 2), "one")
    assert index.missing(["two", "one", "three"]) == ["two", "three"]
    assert [Entry.from_line(line) for line in index.lines([entry(2).key, entry(9).key])] == [entry(2)]
    other = Index(tmp_path / "ledger.sqlite")
    other.add(rows(3))
    assert len(index.lines(key for key, _ in rows(1, 2, 3))) == 3
    index.close()
    other.close()


def test_the_first_answer_of_a_key_counts(tmp_path: Path) -> None:
    index = Index(tmp_path / "ledger.sqlite")
    index.add([(entry(1).key, entry(1, "first").to_line())])
    index.add([(entry(1).key, entry(1, "second").to_line())])
    assert [Entry.from_line(line).answer.text for line in index.lines([entry(1).key])] == ["first"]
    index.close()


def test_a_broken_index_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database" * 1000)
    index = Index(path)
    assert index.missing(["one"]) == ["one"]
    index.add(rows(1), "one")
    assert index.missing(["one"]) == []
    index.close()


OTHER = """
CREATE TABLE segments (name TEXT, rows INTEGER);
INSERT INTO segments VALUES ('one', 1);
CREATE TABLE answers (key TEXT, answer TEXT);
PRAGMA user_version = 7;
"""


def test_another_versions_index_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    other = sqlite3.connect(path)
    other.executescript(OTHER)
    index = Index(path)
    assert index.missing(["one"]) == ["one"]
    index.add(rows(1), "one")
    assert index.missing(["one"]) == [] and len(index.lines([entry(1).key])) == 1
    index.close()
    other.close()


def test_an_index_that_breaks_while_it_is_open_says_that_it_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    index = Index(path)
    index.add(rows(7), "one")
    before = index.lost
    other = sqlite3.connect(path)
    other.executescript("DROP TABLE answers; CREATE TABLE answers (key TEXT)")
    other.close()
    assert index.lines([entry(7).key]) == []
    assert index.lost > before
    assert index.missing(["one"]) == ["one"]
    index.close()


def test_an_index_that_is_deleted_under_its_owner_goes_on(tmp_path: Path) -> None:
    first = Index(tmp_path / "ledger.sqlite")
    first.add(rows(1), "one")
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    second = Index(tmp_path / "ledger.sqlite")
    assert second.missing(["one"]) == ["one"]
    first.add(rows(2), "two")
    assert first.missing(["one", "two"]) == []
    second.add(rows(3), "three")
    first.close()
    assert second.missing(["one", "three"]) == ["one"]
    second.close()


def test_a_locked_index_is_an_outage_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.llm.index.BUSY_SECONDS", 0.05)
    index = Index(tmp_path / "ledger.sqlite")
    index.add(rows(1), "one")
    other = sqlite3.connect(tmp_path / "ledger.sqlite")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Outage, match="locked"):
        index.add(rows(2), "two")
    other.rollback()
    other.close()
    assert index.missing(["one", "two"]) == ["two"]
    index.close()
