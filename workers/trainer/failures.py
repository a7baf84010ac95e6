"""An exception of a training as the one line that its worker passes on: what ended it, after which step, what to do."""

from __future__ import annotations

import socket
from pathlib import Path

from shared.disk import FIX
from shared.errors import BadInput, Outage, PermanentError
from workers.trainer.messages import Failed

LONGEST = 500
FULL = "no space left"
MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
)
MEMORY_FIX = (
    "lower per_device_train_batch_size and raise gradient_accumulation_steps by as much, lower max_length, set "
    "gradient_checkpointing: true, or train with lora"
)
ASSERTION = "device-side assert triggered"
"""Torch's hints below any error of a device speak of assertions too."""
ASSERTION_FIX = "most likely a token beyond the model's vocabulary: look at the model's tokenizer and chat_template"
GONE = (
    "no cuda-capable device",
    "no cuda gpus are available",
    "devices are busy or unavailable",
    "ecc error",
    "uncorrectable",
    "device lost",
    "device is lost",
    "gpu is lost",
    "off the bus",
    "nvlink error",
    "hardware stack error",
    "system not yet initialized",
)
"""What a GPU says that is broken, or away: nothing that the work could have done."""
GONE_FIX = "look at nvidia-smi and the kernel's log (Xid) there, and restart the GPU or the machine"
FAULT = ("cuda error", "cuda driver error", "hip error", "cublas_status", "cudnn_status", "nccl error", "ncclerror")
FAULT_FIX = "if it comes again on another machine, try another `attention`, or CUDA_LAUNCH_BLOCKING=1 to see where"


class LossError(PermanentError):
    """The loss is no number any more, or over its bound."""


class AfterStep(Exception):
    """What its cause is, and how many steps had been done by then."""

    def __init__(self, step: int) -> None:
        super().__init__(f"after step {step}")
        self.step = step


def describe(error: BaseException, folder: Path | None = None) -> Failed:
    """What to say of an exception of a training in `folder`, and whether it would come again.

    Memory is no permanent cause: another worker may have more. A full disk, or a GPU that is broken, is none of the
    work's doing.
    """
    step = error.step if isinstance(error, AfterStep) else None
    if isinstance(error, AfterStep) and error.__cause__ is not None:
        error = error.__cause__
    text, after = _first_line(error), "" if step is None else f" after step {step}"
    words = str(error).lower()
    if isinstance(error, Outage):
        return Failed(kind="outage", message=text, step=step)
    if FULL in words:
        # Whoever wrote it: Python's OSError, safetensors' or torch's own.
        where = "" if folder is None else f" under {folder}"
        message = f"no space left on {socket.gethostname()} for the training's files{where}: {FIX} ({text})"
        return Failed(kind="outage", message=message, step=step)
    if isinstance(error, BadInput | PermanentError):
        cause = "loss" if isinstance(error, LossError) else None
        return Failed(kind="permanent", message=text, cause=cause, step=step)
    if isinstance(error, MemoryError) or _says(words, MEMORY):
        message = f"out of memory{after}: {MEMORY_FIX} ({text})"
        return Failed(kind="stage", message=message, cause="memory", step=step)
    if ASSERTION in words:
        message = f"the GPU refused an operation{after}: {ASSERTION_FIX} ({text})"
        return Failed(kind="stage", message=message, cause="device", step=step)
    if _says(words, GONE):
        message = f"the GPU of {socket.gethostname()} failed{after}: {GONE_FIX} ({text})"
        return Failed(kind="outage", message=message, cause="device", step=step)
    if _is_accelerators(error) or _says(words, FAULT):
        message = f"an error of the GPU of {socket.gethostname()}{after}: {FAULT_FIX} ({text})"
        return Failed(kind="stage", message=message, cause="device", step=step)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Failed(kind="stage", message=said if step is None else f"{said} (after step {step})", step=step)


def _says(words: str, any_of: tuple[str, ...]) -> bool:
    return any(one in words for one in any_of)


def _is_accelerators(error: BaseException) -> bool:
    """Whether torch raised it for a device; by name, so that nothing here needs torch."""
    return any(kind.__name__ == "AcceleratorError" for kind in type(error).__mro__)


def _first_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), "")[:LONGEST]
