"""A real API over a real Valkey and S3 server, with a real conductor; shared by a module, so do not kill it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import pytest
from touchstone_client import Client

from tests.stack import ROOT, Stack

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def start_api(stack: Stack, **environment: str) -> None:
    """Start conductor and API beside the stack's servers, and wait until they are ready."""
    stack.start("conductor")
    stack.start("api", None, ROOT, **environment)
    stack.wait_ready("api")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The module's own servers, conductor and API."""
    stack = Stack(tmp_path_factory.mktemp("api"), max_dataset_bytes=200_000)
    try:
        stack.start_servers()
        start_api(stack)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def http(place: Stack) -> Iterator[httpx.Client]:
    """Plain HTTP to the API."""
    with httpx.Client(base_url=place.api_url, timeout=20) as client:
        yield client


@pytest.fixture
def client(place: Stack) -> Iterator[Client]:
    """The Python client of the API."""
    with Client(place.api_url) as made:
        yield made


def command_for(url: str, **environment: str) -> Run:
    """The `touchstone` command for a server, as a script would call it."""

    def run(*words: str, **given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "touchstone_client", *words],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "120", "TOUCHSTONE_URL": url, **environment},
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            input=given.get("input"),
        )

    return run


@pytest.fixture
def touchstone(place: Stack) -> Run:
    """The `touchstone` command."""
    return command_for(place.api_url)
