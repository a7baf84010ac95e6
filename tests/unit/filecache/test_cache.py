"""The cache of the store's files: what is kept, what is checked, what goes, and what never does."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.disk import GB
from shared.errors import Outage, Stopped
from shared.filecache import FileCache, Wanted, WrongContent
from shared.filecache.entries import SMALL
from shared.store import NotFound
from tests.unit.filecache.counting import CountingStore

WEIGHTS = bytes(range(100))


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[FileCache]:
    with closing(FileCache(tmp_path / "cache")) as made:
        yield made


def kept(root: Path) -> set[str]:
    """The objects' hashes that lie there whole, and unfinished ones with their size."""
    return {path.name for path in root.glob("??/*")}


def fetch(root: Path, store: CountingStore, wanted: Wanted, limit: float = 1e9) -> None:
    """One piece of work that uses a file and ends."""
    with closing(FileCache(root, limit)) as cache:
        cache.path(store, wanted)


def test_a_file_comes_once_and_is_then_read_from_the_disk(cache: FileCache, store: CountingStore) -> None:
    wanted = store.add("stages/a", WEIGHTS)
    for _ in range(3):
        with cache.borrowed(store, wanted) as path:
            assert path.read_bytes() == WEIGHTS
    assert store.read == [("stages/a", 0)]
    assert (cache.used.hits, cache.used.misses, cache.used.came_bytes) == (2, 1, 100)


def test_same_content_under_another_name_comes_once(cache: FileCache, store: CountingStore) -> None:
    first, second = store.add("models/a", WEIGHTS), store.add("stages/b", WEIGHTS)
    assert cache.path(store, first) == cache.path(store, second)
    assert len(store.read) == 1


def test_an_empty_file_is_a_file(cache: FileCache, store: CountingStore) -> None:
    assert cache.path(store, store.add("empty", b"")).read_bytes() == b""


def test_a_folder_links_to_read_only_files_under_their_names(cache: FileCache, store: CountingStore) -> None:
    files = {"model.safetensors": store.add("s/1", WEIGHTS), "a/b.json": store.add("s/2", b"{}")}
    folder = cache.folder(store, files)
    assert {name: (folder / name).read_bytes() for name in files} == {"model.safetensors": WEIGHTS, "a/b.json": b"{}"}
    assert all(stat.S_IMODE((folder / name).stat().st_mode) == 0o444 for name in files)
    assert cache.folder(store, files) == folder


def test_a_folder_that_was_half_made_is_made_again(cache: FileCache, store: CountingStore) -> None:
    files = {"model.safetensors": store.add("s/1", WEIGHTS), "a/b.json": store.add("s/2", b"{}")}
    (cache.folder(store, files) / "a/b.json").unlink()
    assert (cache.folder(store, files) / "a/b.json").read_bytes() == b"{}"


def test_a_model_replaced_in_its_folder_does_not_reach_the_cache(cache: FileCache, store: CountingStore) -> None:
    # As transformers and safetensors write: a file beside it, renamed over its name.
    files = {"model.safetensors": store.add("s/1", WEIGHTS)}
    folder = cache.folder(store, files)
    (folder / "new").write_bytes(b"trained")
    (folder / "new").rename(folder / "model.safetensors")
    assert (cache.folder(store, files) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("size", [100, SMALL + 100])
def test_a_file_that_was_written_to_comes_again(tmp_path: Path, store: CountingStore, size: int) -> None:
    wanted = store.add("a", WEIGHTS * (size // 100))
    with closing(FileCache(tmp_path)) as cache:
        path = cache.path(store, wanted)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"x")
    with closing(FileCache(tmp_path)) as cache, cache.borrowed(store, wanted) as path:
        assert path.read_bytes() == store.get("a")
    assert len(store.read) == 2


def test_a_large_file_that_was_only_touched_stays(tmp_path: Path, store: CountingStore) -> None:
    wanted = store.add("a", WEIGHTS * (SMALL // 50))
    fetch(tmp_path, store, wanted)
    os.utime(tmp_path / wanted.sha256[:2] / wanted.sha256)
    fetch(tmp_path, store, wanted)
    assert len(store.read) == 1


def test_a_lost_connection_goes_on_from_where_it_stopped(cache: FileCache, store: CountingStore) -> None:
    wanted = store.add("a", WEIGHTS)
    store.cuts = [30, 20]
    assert cache.path(store, wanted).read_bytes() == WEIGHTS
    assert store.read == [("a", 0), ("a", 30), ("a", 50)]
    assert store.bytes == 100


def test_a_store_that_gives_nothing_ends_the_download_and_the_next_goes_on(
    tmp_path: Path, store: CountingStore
) -> None:
    wanted = store.add("a", WEIGHTS)
    store.cuts = [40, 0]
    with closing(FileCache(tmp_path)) as cache, pytest.raises(Outage, match="lost"):
        cache.path(store, wanted)
    assert kept(tmp_path) == {f"{wanted.sha256}.100.part"}
    fetch(tmp_path, store, wanted)
    assert store.read[-1] == ("a", 40) and store.bytes == 100
    assert kept(tmp_path) == {wanted.sha256}


def test_a_download_that_is_told_to_stop_goes_on_later(tmp_path: Path, store: CountingStore) -> None:
    wanted = store.add("a", WEIGHTS)

    def check() -> None:
        if store.bytes > 50:
            raise Stopped("cancelled")

    with closing(FileCache(tmp_path, check=check)) as cache, pytest.raises(Stopped):
        cache.path(store, wanted)
    fetch(tmp_path, store, wanted)
    assert store.read == [("a", 0), ("a", 50)]


def test_a_wrong_beginning_is_thrown_away_once(tmp_path: Path, store: CountingStore) -> None:
    wanted = store.add("a", WEIGHTS)
    part = tmp_path / wanted.sha256[:2] / f"{wanted.sha256}.100.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 60)
    with closing(FileCache(tmp_path)) as cache:
        assert cache.path(store, wanted).read_bytes() == WEIGHTS
    assert store.read == [("a", 60), ("a", 0)]


@pytest.mark.parametrize("other", [b"x" * 100, b"short", b"longer" * 100])
def test_content_that_stays_wrong_is_an_error_that_names_the_object(
    tmp_path: Path, store: CountingStore, other: bytes
) -> None:
    wanted = store.add("stages/a", WEIGHTS)
    store.put("stages/a", other)
    with closing(FileCache(tmp_path)) as cache, pytest.raises(WrongContent, match="stages/a is not what was committed"):
        cache.path(store, wanted)
    assert len(store.read) >= 2 and kept(tmp_path) == set()


def test_a_missing_object_leaves_nothing(tmp_path: Path, store: CountingStore) -> None:
    with closing(FileCache(tmp_path)) as cache, pytest.raises(NotFound):
        cache.path(store, Wanted("nowhere", "0" * 64, 5))
    assert kept(tmp_path) == set()


def test_beyond_the_limit_what_was_used_least_recently_goes(tmp_path: Path, store: CountingStore) -> None:
    first, second, third = (store.add(name, name.encode() * 100) for name in "abc")
    fetch(tmp_path, store, first, limit=200)
    fetch(tmp_path, store, second, limit=200)
    fetch(tmp_path, store, first, limit=200)
    fetch(tmp_path, store, third, limit=200)
    assert kept(tmp_path) == {first.sha256, third.sha256}


def test_what_is_in_use_stays_even_beyond_the_limit(tmp_path: Path, store: CountingStore) -> None:
    first, second, third = (store.add(name, name.encode() * 100) for name in "abc")
    with closing(FileCache(tmp_path, 150)) as user:
        path = user.path(store, first)
        fetch(tmp_path, store, second, limit=150)
        fetch(tmp_path, store, third, limit=150)
        assert kept(tmp_path) == {first.sha256, third.sha256}
        assert path.read_bytes() == b"a" * 100
    fetch(tmp_path, store, second, limit=150)
    assert kept(tmp_path) == {second.sha256}


def test_a_folder_of_which_a_file_is_gone_goes_too_and_comes_back(tmp_path: Path, store: CountingStore) -> None:
    files = {"config.json": store.add("s/1", b"{}"), "model.safetensors": store.add("s/2", WEIGHTS)}
    with closing(FileCache(tmp_path, 150)) as cache:
        folder = cache.folder(store, files)
    fetch(tmp_path, store, store.add("s/3", b"y" * 120), limit=150)
    assert not folder.exists()
    with closing(FileCache(tmp_path, 150)) as cache:
        assert (cache.folder(store, files) / "model.safetensors").read_bytes() == WEIGHTS


def test_an_abandoned_download_counts_as_its_whole_and_goes_too(tmp_path: Path, store: CountingStore) -> None:
    left, wanted = store.add("a", WEIGHTS), store.add("b", b"b" * 100)
    store.cuts = [10, 0]
    with closing(FileCache(tmp_path)) as cache, pytest.raises(Outage):
        cache.path(store, left)
    fetch(tmp_path, store, wanted, limit=150)
    assert kept(tmp_path) == {wanted.sha256}


def test_a_disk_without_room_waits_and_says_how_much_is_needed_where(tmp_path: Path, store: CountingStore) -> None:
    wanted = Wanted("stages/model.safetensors", "0" * 64, 14 * GB)
    with (
        closing(FileCache(tmp_path, free=lambda _: 3 * GB)) as cache,
        pytest.raises(Outage, match=r"no room for stages/model.safetensors: 14 GB and 1 GB to spare .* 3 GB are free"),
    ):
        cache.path(store, wanted)
    assert store.read == []


def test_a_full_disk_is_made_room_on_before_the_limit_is_reached(tmp_path: Path, store: CountingStore) -> None:
    first, second = (store.add(name, name.encode() * 100) for name in "ab")
    fetch(tmp_path, store, first)

    def free(root: Path) -> int:
        return 250 - sum(path.stat().st_size for path in root.glob("??/*"))

    with closing(FileCache(tmp_path, free=free)) as cache:
        cache.path(store, second)
    assert kept(tmp_path) == {second.sha256}
