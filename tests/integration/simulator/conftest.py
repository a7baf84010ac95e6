"""A simulator as its own process."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.waiting import wait_until

Start = Callable[..., str]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _healthy(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the simulator ended at its start"
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(*options: str) -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "services.simulator", "--port", str(port), *options]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _healthy(url, process), 20, "the simulator to answer")
        yield url
    finally:
        process.terminate()
        code = process.wait(10)
    assert code in (0, -15), f"the simulator ended with {code}"


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts simulators with the given options and returns their URLs; they end with the module."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(*options))


@pytest.fixture(scope="module")
def url(start: Start) -> str:
    """One simulator without options."""
    return start()


@pytest.fixture
def fresh(url: str) -> str:
    """The same simulator, its counts forgotten."""
    httpx.post(f"{url}/stats/reset").raise_for_status()
    return url
