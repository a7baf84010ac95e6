"""One training, in a process of its own: `python -m workers.trainer.child JOB_FOLDER`.

Its worker started it and holds the other end of its standard input; on standard output go the messages of
`workers.trainer.messages`, everything else on standard error. A launcher may start it once a rank: rank 0 speaks for
all, but for a cause, such as no memory, that ends another one.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.trainer import lifeline, memory
from workers.trainer.failures import describe
from workers.trainer.job import EXCLUDED, OUT, Job
from workers.trainer.messages import Channel, Done, Message, Progress

Send = Callable[[Message], None]


def main(folder: Path) -> int:
    """Run the job in `folder`; returns the exit status."""
    lifeline.hold()
    # They tell TRL's authors what transformers will drop, which is no news for a stage's log.
    warnings.simplefilter("ignore", FutureWarning)
    channel = Channel()
    send = channel.send if os.environ.get("RANK", "0") == "0" else _silent
    try:
        send(Done(metrics=_run(Job.read(folder), folder, send)))
    except Exception as error:
        # The parent must hear of whatever happened; the trace goes to the stage's log.
        traceback.print_exc()
        sys.stderr.flush()
        failed = describe(error, folder)
        # A rank that is left by another one fails too, and knows of no cause.
        (channel.send if failed.cause is not None else send)(failed)
        return 1
    return 0


def _run(job: Job, folder: Path, send: Send) -> dict[str, Any]:
    # Imports make some million objects that stay; collecting garbage among them takes a second of five.
    gc.disable()
    started = time.monotonic()
    train = _pretraining(job) if job.method == "pretrain" else _training(job)
    gc.freeze()
    gc.enable()
    _settle()
    sys.stderr.write(f"imported in {time.monotonic() - started:.2f} s\n")
    return train(folder, send)


def _settle() -> None:
    import torch

    # With a GPU, a model is on its way through this process's memory, which others of this machine need too.
    if not torch.cuda.is_available():
        memory.keep()


def _training(job: Job) -> Callable[[Path, Send], dict[str, Any]]:
    from workers.trainer import training

    training.import_trl(job)
    if job.reference == "wanted":
        from workers.trainer import scoring

        return lambda folder, send: scoring.run(job, folder, send)
    return lambda folder, send: training.run(job, folder, send)


def _pretraining(job: Job) -> Callable[[Path, Send], dict[str, Any]]:
    from shared.world.pretrain import PretrainSettings
    from workers.trainer.pretrain import pretrain

    settings = PretrainSettings.model_validate(job.settings)

    def run(folder: Path, send: Send) -> dict[str, Any]:
        def progress(step: int, total: int, loss: float) -> None:
            send(Progress(step=step, total=total, row={"loss": loss}))

        excluded = frozenset(json.loads((folder / EXCLUDED).read_text()))
        metrics: dict[str, Any] = pretrain(settings, excluded, folder / OUT, job.seed, progress)
        return metrics

    return run


def _silent(message: Message) -> None:
    """What ranks other than 0 say."""


if __name__ == "__main__":
    status = main(Path(sys.argv[1]))
    sys.stderr.flush()
    # All is written: the interpreter's own way out would take torch apart for half a second.
    os._exit(status)
