"""What the tests of the teacher share: a stack that looks at open batches often, and a provider of batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.llm import batchstandin
from tests.integration.llm.batchstandin import BatchStandIn
from tests.stack import Stack


@pytest.fixture
def provider() -> Iterator[BatchStandIn]:
    with batchstandin.running() as made:
        yield made


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path, batch_seconds=0.3)
    try:
        made.start_servers()
        yield made
    finally:
        made.stop()
