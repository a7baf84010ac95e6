"""The same steps in smaller pieces, once a training has run out of memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.trainer.job import Job
from workers.trainer.memory import halved, kernel_kills

# Twelve times 80 MB in blocks that a step of a small model has; prints how many pages the last ten of them came anew.
ALLOCATES = """
import resource, sys
from workers.trainer import memory
if sys.argv[1] == "keep":
    memory.keep()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for round in range(12):
    if round == 2:
        before = faults()
    blocks = [bytearray(20 << 20) for _ in range(4)]
    del blocks
print(faults() - before)
"""


def pages(what: str) -> int:
    done = subprocess.run([sys.executable, "-c", ALLOCATES, what], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is glibc's")
def test_a_training_keeps_what_it_frees() -> None:
    assert pages("keep") < 1000 < 100_000 < pages("leave")


def pieces(method: str = "sft", **args: Any) -> tuple[int, int] | None:
    smaller = halved(Job(method=method, args=args))
    if smaller is None:
        return None
    return smaller.args["per_device_train_batch_size"], smaller.args["gradient_accumulation_steps"]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({}, (4, 2)),
        ({"per_device_train_batch_size": 16, "gradient_accumulation_steps": 3}, (8, 6)),
        ({"per_device_train_batch_size": 9}, (3, 3)),
        ({"per_device_train_batch_size": 7}, (1, 7)),
        ({"per_device_train_batch_size": 2}, (1, 2)),
        ({"per_device_train_batch_size": 1}, None),
    ],
)
def test_as_many_examples_in_each_step(args: dict[str, Any], found: tuple[int, int] | None) -> None:
    assert pieces(**args) == found
    if found is not None:
        assert found[0] * found[1] == args.get("per_device_train_batch_size", 8) * args.get(
            "gradient_accumulation_steps", 1
        )


def test_other_arguments_stay_and_the_reference_s_pieces_are_no_larger() -> None:
    smaller = halved(Job(method="dpo", args={"learning_rate": 1e-3, "precompute_ref_batch_size": 64}))
    assert smaller is not None
    assert smaller.args["learning_rate"] == 1e-3 and smaller.args["precompute_ref_batch_size"] == 4


@pytest.mark.parametrize(
    ("method", "losses", "may"),
    [
        ("kto", {}, False),
        ("kto", {"loss_type": "kto"}, False),
        ("kto", {"loss_type": "apo_zero_unpaired"}, True),
        ("dpo", {"loss_type": ["sigmoid", "aot"]}, False),
        ("dpo", {"loss_type": ["sigmoid"]}, True),
        ("pretrain", {}, False),
    ],
)
def test_a_loss_that_compares_a_batch_keeps_its_batch(method: str, losses: dict[str, Any], may: bool) -> None:
    assert (pieces(method, **losses) is not None) == may


def test_the_kernel_s_kills_are_counted_where_it_says_them(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    assert kernel_kills(events) == 0
    events.write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\n")
    assert kernel_kills(events) == 2
