"""Fixtures over real servers. `servers` is shared by a session; a `stack` is a test's own and may be broken at will."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import redis

from infra.local.valkey import DATABASES
from shared.settings import Settings, get_settings
from shared.store import S3Store
from tests.stack import Stack

NUMBERS = count()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Valkey and an S3 server for the whole session; do not kill them."""
    stack = Stack(tmp_path_factory.mktemp("servers"))
    try:
        stack.start_servers()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def settings(servers: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of the session's servers with an empty Redis, a bucket and a data folder of the test's own.

    `get_settings()` of this process gives the same.
    """
    number = next(NUMBERS)
    own = {
        "redis_url": servers.environment["TOUCHSTONE_REDIS_URL"].removesuffix("/0") + f"/{number % DATABASES}",
        "s3_bucket": f"test-{number}",
        "data_dir": str(tmp_path / "work"),
    }
    for name, value in {**servers.environment, **{f"TOUCHSTONE_{key.upper()}": own[key] for key in own}}.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    made = get_settings()
    S3Store.from_settings(made).ensure_bucket()
    with redis.Redis.from_url(own["redis_url"]) as client:
        client.flushdb()
    yield made
    get_settings.cache_clear()


@pytest.fixture
def store(settings: Settings) -> S3Store:
    """The test's own bucket on a real S3 server."""
    return S3Store.from_settings(settings)


@pytest.fixture
def redis_server(settings: Settings) -> Iterator[redis.Redis]:
    """A client of the test's own, empty database of a real Valkey."""
    client = redis.Redis.from_url(settings.redis_url.get_secret_value())
    yield client
    client.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Servers and processes of the test's own, to be killed and started as it likes; all end with the test."""
    made = Stack(tmp_path)
    try:
        made.start_servers()
        yield made
    finally:
        made.stop()
