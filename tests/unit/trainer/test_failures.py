"""One readable line for whatever ends a training."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch

from shared.errors import BadInput, Outage, PermanentError
from workers.trainer.failures import AfterStep, LossError, describe


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


def raised_by_the_cpu_allocator() -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    return caught.value


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    OSError(12, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_lack_of_memory_names_what_to_lower(error: Exception) -> None:
    failed = describe(error)
    assert (failed.kind, failed.cause) == ("stage", "memory")
    assert "lower per_device_train_batch_size and raise gradient_accumulation_steps" in failed.message


def test_lack_of_memory_on_a_cpu_is_known_by_what_torch_itself_says() -> None:
    assert describe(raised_by_the_cpu_allocator()).cause == "memory"


@pytest.mark.parametrize(
    ("said", "kind", "remedy"),
    [
        ("CUDA error: uncorrectable ECC error encountered", "outage", "nvidia-smi"),
        ("CUDA error: no CUDA-capable device is detected", "outage", "restart the GPU"),
        ("CUDA error: the device is lost", "outage", "Xid"),
        ("CUDA error: device-side assert triggered", "stage", "beyond the model's vocabulary"),
        ("CUDA error: an illegal memory access was encountered", "stage", "CUDA_LAUNCH_BLOCKING"),
        ("CUDA error: unspecified launch failure", "stage", "on another machine"),
    ],
)
def test_a_gpu_that_is_broken_is_no_fault_of_the_work(said: str, kind: str, remedy: str) -> None:
    error = torch.AcceleratorError(f"{said}\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.")
    failed = describe(error)
    assert (failed.kind, failed.cause) == (kind, "device")
    assert remedy in failed.message and said in failed.message and "\n" not in failed.message
    assert "vocabulary" in failed.message or socket.gethostname() in failed.message


def test_an_error_of_several_gpus_is_one_of_theirs() -> None:
    failed = describe(RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:3690, remote process exited"))
    assert (failed.kind, failed.cause) == ("stage", "device")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory after step 7: "),
        (torch.AcceleratorError("CUDA error: the device is lost"), "failed after step 7: "),
        (ValueError("odd"), "ValueError: odd (after step 7)"),
        (LossError("the loss is nan at step 7: lower learning_rate"), "the loss is nan at step 7: lower learning_rate"),
    ],
)
def test_the_step_is_said(error: Exception, message: str) -> None:
    with pytest.raises(AfterStep) as caught:
        raise AfterStep(7) from error
    failed = describe(caught.value)
    assert failed.step == 7 and message in failed.message


def test_a_lost_loss_would_be_lost_again() -> None:
    failed = describe(LossError("the loss is nan at step 7"))
    assert (failed.kind, failed.cause) == ("permanent", "loss")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("write: no space left (os 28)")]
)
def test_a_full_disk_is_waited_for_and_the_remedy_named(error: Exception) -> None:
    failed = describe(error, Path("/var/lib/touchstone/job"))
    assert failed.kind == "outage"
    assert "under /var/lib/touchstone/job: make room there, or let TOUCHSTONE_DATA_DIR name" in failed.message


def test_a_very_long_line_is_cut() -> None:
    assert len(describe(ValueError("x" * 10_000)).message) < 1000
