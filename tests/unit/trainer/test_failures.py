"""One readable line for whatever ends a training."""

from __future__ import annotations

import pytest

from shared.errors import BadInput, Outage, PermanentError
from workers.trainer.failures import describe


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("first line\nsecond line"), "stage", "ValueError: first line"),
        (KeyError("x"), "stage", "KeyError: 'x'"),
        (RuntimeError("\n\n  late text"), "stage", "RuntimeError: late text"),
        (AssertionError(), "stage", "AssertionError"),
        (PermanentError("no rows"), "permanent", "no rows"),
        (
            BadInput("chat_template", "is unknown", "name another"),
            "permanent",
            "chat_template: is unknown. name another",
        ),
        (Outage("the hub is away"), "outage", "the hub is away"),
    ],
)
def test_the_message_is_one_line(error: Exception, kind: str, message: str) -> None:
    failed = describe(error)
    assert (failed.kind, failed.message) == (kind, message)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OSError("Can't allocate memory")],
)
def test_lack_of_memory_names_what_to_lower(error: Exception) -> None:
    failed = describe(error)
    assert failed.kind == "stage"
    assert "per_device_train_batch_size" in failed.message


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("write: no space left (os 28)")]
)
def test_a_full_disk_is_waited_for(error: Exception) -> None:
    assert describe(error).kind == "outage"


def test_a_very_long_line_is_cut() -> None:
    assert len(describe(ValueError("x" * 10_000)).message) < 1000
