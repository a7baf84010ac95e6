"""What Touchstone relies on in an object store, on every store at hand; whoever adds a server tries it here."""

from __future__ import annotations

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.errors import Stopped
from shared.store import MemoryStore, NotFound, S3Store

Store = S3Store | MemoryStore
# Keys that a dataset's or a stage's file name could lead to.
ODD_KEYS = (
    "plain",
    "with space/and  two",
    "plus+and&amp=eq;semi",
    "percent%20%2F%",
    "hash#question?star*",
    "ünïcødé/試金石",
    "quotes'and\"double",
    "tilde~bang!(paren)[bracket]{brace}",
    "dots/..hidden/...",
    "comma,colon:at@dollar$pipe|back\\slash",
)


def test_what_was_put_is_read_back(any_store: Store) -> None:
    any_store.put("a/b/c.bin", b"\x00\xffbytes")
    assert any_store.get("a/b/c.bin") == b"\x00\xffbytes"
    assert any_store.exists("a/b/c.bin")


def test_an_empty_object_is_an_object(any_store: Store) -> None:
    any_store.put("empty", b"")
    assert any_store.get("empty") == b""
    assert [(info.name, info.size) for info in any_store.list("")] == [("empty", 0)]


def test_a_put_over_an_object_replaces_it_whole(any_store: Store) -> None:
    any_store.put("key", b"a longer first content")
    any_store.put("key", b"second")
    assert any_store.get("key") == b"second"
    assert [info.size for info in any_store.list("key")] == [len(b"second")]


def test_a_missing_object_is_not_found(any_store: Store, tmp_path: Path) -> None:
    assert not any_store.exists("nowhere/at/all")
    with pytest.raises(NotFound, match="nowhere"):
        any_store.get("nowhere/at/all")
    with pytest.raises(NotFound, match="nowhere"):
        any_store.get_file("nowhere/at/all", tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_an_object_is_read_in_pieces_from_any_byte_on(any_store: Store) -> None:
    data = random.Random(3).randbytes(2_500_000)
    any_store.put("large", data)
    any_store.put("none", b"")
    for start in (0, 1, 1_048_576, len(data) - 1):
        assert b"".join(any_store.stream("large", start)) == data[start:]
    assert b"".join(any_store.stream("none")) == b""
    with pytest.raises(NotFound, match="nowhere"):
        any_store.stream("nowhere", 5)


def test_a_deleted_object_is_gone_and_a_missing_one_is_no_error(any_store: Store) -> None:
    for name in ("keep/1", "drop/1", "drop/2"):
        any_store.put(name, b"x")
    any_store.delete(["drop/1", "drop/2", "drop/never-was"])
    assert [info.name for info in any_store.list("")] == ["keep/1"]
    any_store.delete([])


@pytest.mark.slow
def test_a_listing_has_every_one_of_many_keys_in_order(any_store: Store) -> None:
    names = {f"commits/{number % 7:02x}/{number:05d}.json" for number in range(1105)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: any_store.put(name, name.encode()), names))
    any_store.put("other/1", b"x")
    listed = [info.name for info in any_store.list("commits/")]
    assert listed == sorted(names)


def test_a_prefix_may_end_within_a_name(any_store: Store) -> None:
    for name in ("commits/ab/ab12.first.json", "commits/ab/ab12.second.json", "commits/ab/ab13.first.json"):
        any_store.put(name, b"x")
    assert [info.name for info in any_store.list("commits/ab/ab12.")] == [
        "commits/ab/ab12.first.json",
        "commits/ab/ab12.second.json",
    ]
    assert list(any_store.list("nothing/here/")) == []


def test_a_listing_tells_size_and_the_time_of_writing(any_store: Store) -> None:
    before = datetime.now(UTC)
    any_store.put("timed", b"12345")
    (info,) = any_store.list("timed")
    assert info.size == 5
    assert info.modified.tzinfo is not None
    # Servers may tell whole seconds.
    assert before - timedelta(seconds=1.5) <= info.modified <= datetime.now(UTC) + timedelta(seconds=1.5)


def test_a_later_object_is_never_listed_as_older(any_store: Store) -> None:
    for number in range(20):
        any_store.put(f"order/{number:02d}", b"x")
    times = [info.modified for info in any_store.list("order/")]
    assert times == sorted(times)


@pytest.mark.parametrize("name", ODD_KEYS)
def test_odd_characters_in_a_key_survive(any_store: Store, name: str) -> None:
    any_store.put(f"odd/{name}", name.encode())
    assert any_store.get(f"odd/{name}") == name.encode()
    assert [info.name for info in any_store.list("odd/")] == [f"odd/{name}"]
    any_store.delete([f"odd/{name}"])
    assert not any_store.exists(f"odd/{name}")


def test_a_file_of_50_mb_goes_in_parts_and_comes_back_whole(any_store: Store, tmp_path: Path) -> None:
    content = random.Random(0).randbytes(50 * 1024 * 1024 + 17)
    (tmp_path / "up").write_bytes(content)
    any_store.put_file("big/model.safetensors", tmp_path / "up")
    any_store.get_file("big/model.safetensors", tmp_path / "down")
    assert hashlib.sha256((tmp_path / "down").read_bytes()).digest() == hashlib.sha256(content).digest()
    assert [info.size for info in any_store.list("big/")] == [len(content)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_file_is_given_up_between_its_parts(any_store: Store, tmp_path: Path, at_once: int) -> None:
    content = random.Random(0).randbytes(12 * 1024 * 1024)
    (tmp_path / "up").write_bytes(content)
    calls: list[None] = []
    any_store.put_file("whole", tmp_path / "up", lambda: calls.append(None), at_once)
    assert any_store.get("whole") == content
    assert len(calls) == (1 if isinstance(any_store, MemoryStore) else 3)

    def stop() -> None:
        calls.pop()
        if not calls:
            raise Stopped("given up")

    with pytest.raises(Stopped, match="given up"):
        any_store.put_file("cut", tmp_path / "up", stop, at_once)
    assert not any_store.exists("cut")


def test_a_reader_sees_the_old_object_or_the_new_one_and_no_mixture(any_store: Store) -> None:
    versions = [bytes([number]) * 200_000 for number in range(8)]
    any_store.put("shared", versions[0])

    def write(version: bytes) -> None:
        any_store.put("shared", version)

    def read(_: int) -> bool:
        return any_store.get("shared") in versions

    with ThreadPoolExecutor(6) as pool:
        writes = [pool.submit(write, version) for version in versions]
        reads = list(pool.map(read, range(40)))
        for done in writes:
            done.result()
    assert all(reads)
    assert any_store.get("shared") in versions


def test_making_the_bucket_twice_keeps_what_is_in_it(any_store: Store) -> None:
    any_store.put("key", b"x")
    any_store.ensure_bucket()
    assert any_store.get("key") == b"x"
