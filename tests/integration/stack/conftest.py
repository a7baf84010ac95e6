"""An embedded stack of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stack.local import Local


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    """The commands of the embedded stack over a fresh folder; everything ends with the test."""
    made = Local(tmp_path)
    yield made
    made.end()
