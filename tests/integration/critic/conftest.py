"""One critic worker for each file of tests; none of them kills it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack import Stack


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers and a critic. What a test had answered, the next one of the file finds in the ledger."""
    stack = Stack(tmp_path_factory.mktemp("critic"))
    try:
        stack.start_servers()
        stack.start("critic")
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def critic(worker: Stack) -> Iterator[Stack]:
    """The same, without the simulator of an earlier test and what it wrote down."""
    yield worker
    if worker.alive("simulator"):
        worker.kill("simulator")
    (worker.folder / "traffic.jsonl").unlink(missing_ok=True)
