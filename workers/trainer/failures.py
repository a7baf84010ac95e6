"""An exception of a training as the one line that its worker passes on."""

from __future__ import annotations

import socket

from shared.errors import BadInput, Outage, PermanentError
from workers.trainer.messages import Failed

LONGEST = 500
FULL = "no space left"
MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
MEMORY_FIX = "out of memory: lower per_device_train_batch_size (raise gradient_accumulation_steps), or max_length"


def describe(error: BaseException) -> Failed:
    """What to say of an exception, and whether it would come again.

    Memory is no permanent cause: another worker may have more. A full disk is none of the work's doing.
    """
    text = _first_line(error)
    if isinstance(error, Outage):
        return Failed(kind="outage", message=text)
    if FULL in str(error).lower():
        # Whoever wrote it: Python's OSError, safetensors' or torch's own.
        return Failed(
            kind="outage", message=f"no space left on {socket.gethostname()} for the training's files ({text})"
        )
    if isinstance(error, BadInput | PermanentError):
        return Failed(kind="permanent", message=text)
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY):
        return Failed(kind="stage", message=f"{MEMORY_FIX} ({text})")
    return Failed(kind="stage", message=f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _first_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), "")[:LONGEST]
