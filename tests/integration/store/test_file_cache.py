"""The local cache over a real S3 server, used by several processes that may be killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.canonical import sha256_hex
from shared.filecache import FileCache, Wanted
from shared.filecache.entries import SMALL
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.store.proxy import Proxy
from tests.stack import ROOT
from tests.waiting import wait_until

SIZE = 8 * 1024 * 1024
HEADERS = 1 << 20
"""More than a few answers' headers come to, and much less than what is saved."""


class Fetching:
    """A process that fetches a file (see `fetching.py`)."""

    def __init__(self, environment: dict[str, str], root: Path, wanted: Wanted) -> None:
        given = [str(root), wanted.object, wanted.sha256, str(wanted.size)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.store.fetching", *given],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        self._out, self._in = self.process.stdout, self.process.stdin
        assert self._out.readline() == "ready\n"

    def begin(self) -> Fetching:
        self._in.write("\n")
        self._in.flush()
        return self

    def told(self) -> dict[str, Any]:
        return dict(json.loads(self._out.readline()))

    def end(self, number: signal.Signals | None = None) -> None:
        if number is not None:
            self.process.send_signal(number)
        self._in.close()
        self.process.wait()
        self._out.close()


Start = Callable[[Wanted], Fetching]


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    with Proxy(settings.s3_endpoint) as made:
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def start(proxy: Proxy, root: Path) -> Iterator[Start]:
    """Starts processes that reach the store through the proxy; they end with the test."""
    started: list[Fetching] = []
    environment = {**os.environ, "TOUCHSTONE_S3_ENDPOINT": proxy.endpoint}

    def one(wanted: Wanted) -> Fetching:
        started.append(Fetching(environment, root, wanted))
        return started[-1]

    yield one
    for process in started:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)


@pytest.fixture
def proxied(settings: Settings, proxy: Proxy) -> S3Store:
    return S3Store.from_settings(settings.model_copy(update={"s3_endpoint": proxy.endpoint}))


def stored(store: S3Store, number: int, size: int = SIZE) -> Wanted:
    data = random.Random(number).randbytes(size)
    store.put(f"stages/{number}", data)
    return Wanted(f"stages/{number}", sha256_hex(data), size)


def part_of(root: Path, wanted: Wanted) -> Path:
    return root / wanted.sha256[:2] / f"{wanted.sha256}.{wanted.size}.part"


def stuck_in_the_middle(start: Start, proxy: Proxy, root: Path, wanted: Wanted) -> Fetching:
    """A process whose download has come some way, and comes no further."""
    proxy.allow(SIZE // 2)
    process, part = start(wanted).begin(), part_of(root, wanted)
    wait_until(lambda: part.exists() and part.stat().st_size > SIZE // 4, 60, "a quarter of the file")
    return process


def test_processes_that_ask_at_once_download_a_file_once(start: Start, store: S3Store, proxy: Proxy) -> None:
    wanted = stored(store, 1)
    processes = [start(wanted), start(wanted)]
    for process in processes:
        process.begin()
    told = [process.told() for process in processes]
    assert sorted(one["came"] for one in told) == [0, SIZE]
    assert told[0]["path"] == told[1]["path"]
    assert SIZE <= proxy.sent < SIZE + HEADERS
    assert sha256_hex(Path(told[0]["path"]).read_bytes()) == wanted.sha256


def test_a_download_that_was_killed_goes_on_where_it_stopped(
    start: Start, store: S3Store, proxied: S3Store, proxy: Proxy, root: Path
) -> None:
    wanted = stored(store, 2)
    stuck_in_the_middle(start, proxy, root, wanted).end(signal.SIGKILL)
    there = part_of(root, wanted).stat().st_size
    proxy.requests.clear()
    proxy.allow(float("inf"))
    with closing(FileCache(root)) as cache, cache.borrowed(proxied, wanted) as path:
        assert sha256_hex(path.read_bytes()) == wanted.sha256
    assert cache.used.came_bytes == SIZE - there
    assert f"range: bytes={there}-".encode() in b"".join(proxy.requests).lower()
    assert not part_of(root, wanted).exists()


@pytest.mark.slow
def test_who_waits_for_a_killed_download_goes_on_with_it(
    start: Start, store: S3Store, proxied: S3Store, proxy: Proxy, root: Path
) -> None:
    wanted, looked = stored(store, 3), threading.Event()
    first = stuck_in_the_middle(start, proxy, root, wanted)
    with closing(FileCache(root, check=looked.set)) as cache, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.path, proxied, wanted)
        assert looked.wait(60)
        first.end(signal.SIGKILL)
        there = part_of(root, wanted).stat().st_size
        proxy.allow(float("inf"))
        assert sha256_hex(waiting.result(60).read_bytes()) == wanted.sha256
        assert cache.used.came_bytes == SIZE - there


def test_a_file_of_another_process_stays_until_that_is_killed(start: Start, store: S3Store, root: Path) -> None:
    def use(number: int) -> None:
        with closing(FileCache(root, 2 * SMALL)) as cache:
            cache.path(store, stored(store, number, SMALL))

    user = start(stored(store, 4, SMALL)).begin()
    path = Path(user.told()["path"])
    for number in (5, 6):
        use(number)
    assert path.exists()
    user.end(signal.SIGKILL)
    use(7)
    assert not path.exists()
