"""The stores that the contract is tried on: rclone's server (embedded), moto's, and the one in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from shared.store import MemoryStore, S3Store
from tests.stack import Stack

Store = S3Store | MemoryStore
NUMBERS = count()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of moto's S3 server. It accepts any key, so it shows nothing about credentials."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def rclone_store(servers: Stack) -> S3Store:
    settings = servers.settings
    secret = settings.s3_secret_key.get_secret_value()
    return S3Store(settings.s3_endpoint, settings.s3_access_key, secret, f"contract-{next(NUMBERS)}")


@pytest.fixture(params=["rclone", "moto", "memory"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """An empty store of each kind."""
    makers: dict[str, Callable[[], Store]] = {
        "rclone": lambda: request.getfixturevalue("rclone_store"),
        "moto": lambda: S3Store(request.getfixturevalue("moto"), "any", "any", f"contract-{next(NUMBERS)}"),
        "memory": MemoryStore,
    }
    made = makers[request.param]()
    made.ensure_bucket()
    return made
