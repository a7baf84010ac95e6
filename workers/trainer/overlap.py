"""Checkpoints that are written while the next step runs, until it changes the weights.

Between two updates the weights and the optimizer's state stay as they are, so that they need not be copied first
(CheckFreq has the same bound for its copy: Mohan et al., FAST 2021, section 4.1).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from workers.trainer.job import Job


class Writer:
    """Writes beside the training, in order."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._writes: list[Future[None]] = []

    @property
    def busy(self) -> bool:
        """Whether something was given since the last `finish`."""
        return bool(self._writes)

    def submit(self, write: Callable[[], None]) -> None:
        """Write soon."""
        self._writes.append(self._pool.submit(write))

    def finish(self) -> None:
        """Wait until all is written. Raises the first error of a write."""
        writes, self._writes = self._writes, []
        for write in writes:
            write.result()


def overlapping(trainer: type[Any], job: Job, writer: Writer) -> type[Any]:
    """TRL's trainer class, whose checkpoints leave the large files to `writer`.

    Who uses it calls `writer.finish` before the optimizer's next step. Several ranks write together, DeepSpeed
    steps where none can wait, and adapters, which are small, may be merged and taken out again within a step: those are
    written at once.
    """
    if job.lora is not None or job.strategy != "ddp" or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return trainer

    class Overlapping(trainer):
        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            save = super().save_model
            if _internal_call:
                writer.submit(lambda: save(output_dir, _internal_call=True))
            else:
                save(output_dir)

        def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
            save = super()._save_optimizer_and_scheduler
            writer.submit(lambda: save(output_dir))

    Overlapping.__name__ = trainer.__name__
    return Overlapping
