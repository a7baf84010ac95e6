"""A training's memory: kept between steps, and the same steps in smaller pieces once it ran out. No torch here."""

from __future__ import annotations

import ctypes
from pathlib import Path

from shared.methods import PREFERENCES
from shared.methods.dpo import SORTED
from shared.methods.kto import WITHOUT_KL
from shared.trl import ACCUMULATION, AT_ONCE, BATCH, batch_of
from workers.trainer.job import Job

EVENTS = Path("/sys/fs/cgroup/memory.events")
# mallopt(3): the parameters, and the largest block that glibc's malloc has beside those that it maps one by one.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 32 * 1024**2
KEPT = 1024**3


def keep() -> None:
    """Let this process keep up to a gigabyte that it frees, where its C library can (glibc).

    Each step of a training on a CPU frees what the next one allocates again; by default that goes back to the kernel,
    which hands it out cleared, page by page: a tenth of a step of SmolLM2-135M.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
    mallopt(M_TRIM_THRESHOLD, KEPT)


def halved(job: Job) -> Job | None:
    """The job with half the examples in memory at once, and as many in each step; None where there is no such job.

    Of an odd number in memory, the largest part that divides it. The gradient is the same but for rounding (and, of
    pairs, for an epoch's last batch, where that is not full: its pieces count alike), except where a loss compares the
    examples of a batch, or a batch is sampled together: such a job is not changed.
    """
    batch, times = batch_of(job.args)
    if job.method == "pretrain" or batch < 2 or _is_one(job):
        return None
    part = next(size for size in range(batch // 2, 0, -1) if batch % size == 0)
    changed = {BATCH: part, ACCUMULATION: times * (batch // part)}
    if (reference := job.args.get(AT_ONCE)) is not None:
        changed[AT_ONCE] = min(int(reference), part)
    return job.model_copy(update={"args": {**job.args, **changed}})


def _is_one(job: Job) -> bool:
    losses = job.args.get("loss_type")
    if job.method in PREFERENCES and PREFERENCES[job.method].guide != "pairs":
        return True
    if job.method == "kto":
        return losses not in WITHOUT_KL
    return job.method == "dpo" and not SORTED.isdisjoint(losses or ())


def kernel_kills(events: Path = EVENTS) -> int:
    """How many processes of this container the kernel has killed for want of memory; 0 where it does not say."""
    try:
        lines = events.read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return int(counts.get("oom_kill", 0))
