"""What the worker does for one training: starts it, follows it, keeps its checkpoints, and hands its results over."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import structlog

from shared import machine_lock, records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.errors import Outage, PermanentError, StageError
from workers.trainer.checkpoints import Checkpoints
from workers.trainer.job import OUT, Job
from workers.trainer.leftovers import held
from workers.trainer.messages import Done, Failed, Progress, Saved
from workers.trainer.prepare import RESUME, prepare
from workers.trainer.process import TrainingProcess, command, environment
from workers.trainer.uploads import Uploads

log = structlog.get_logger()

POLL = 0.1
METRICS_EVERY = 0.25
CURVE = "loss.parquet"
OTHERS_TURN = "waits for the GPU, which another worker of this host has (TOUCHSTONE_GPU_LOCK)"


def train(ctx: StageContext) -> StageResult:
    """Run one training, from its newest checkpoint where there is one.

    Raises:
        Stopped: the work must end; every process of the training is gone by then.
        StageError: the training failed, with its last readable line; its whole trace is in the stage's log.
        PermanentError: it would fail again.
        Outage: the store or the model hub is away.
    """
    folder = ctx.workdir.resolve() / "job"
    folder.mkdir(parents=True)
    # Beyond this function: the weights are uploaded after it, and wait here while the store is away.
    ctx.keep(held(ctx.workdir))
    checkpoints = Checkpoints(ctx.store, ctx.scratch)
    resumed = checkpoints.download_newest(folder / RESUME)
    job = prepare(ctx, folder, resumed is not None)
    if resumed is not None:
        ctx.log(f"going on from the checkpoint of step {resumed.step}")
    followed = _Followed(ctx, folder, checkpoints, resumed.device_seconds if resumed is not None else 0.0)
    done = followed.run(job)
    return StageResult(_files(folder / OUT), done.metrics, Cost(device_seconds=round(followed.device_seconds, 3)))


class _Followed:
    """One training's process as the worker follows it."""

    def __init__(self, ctx: StageContext, folder: Path, checkpoints: Checkpoints, spent: float) -> None:
        self._ctx = ctx
        self._folder = folder
        self._uploads = Uploads(checkpoints, ctx.advanced, self._log)
        self._spent = spent
        self._gpus = int(ctx.unit.options.get("gpus", 1))
        self._started = time.monotonic()
        self._step = 0
        self._sent = 0.0

    @property
    def device_seconds(self) -> float:
        """Seconds of training so far on every GPU, those before a resumption included."""
        return self._spent + (time.monotonic() - self._started) * self._gpus

    def run(self, job: Job) -> Done:
        """Follow the training to its end."""
        started = environment(self._folder, job.threads, local_model=job.model.hub is None)
        with (
            self._device() as keeps,
            self._uploads,
            TrainingProcess(command(self._folder, self._gpus), started, keeps) as process,
        ):
            while True:
                self._ctx.check()
                self._uploads.step()
                item = process.next(POLL)
                if isinstance(item, Done):
                    return item
                if isinstance(item, Failed):
                    self._log_rest(process)
                    raise self._failure(item)
                if item is not None:
                    self._take(item)
                elif (status := process.exited()) is not None:
                    self._log_rest(process)
                    raise StageError(_death(status, process, self._step))

    @contextmanager
    def _device(self) -> Iterator[Sequence[int]]:
        """The GPU, where an engine of this host may have it: waited for, and held until the training's last process."""
        if self._ctx.settings.gpu_lock is None:
            yield ()
            return
        with machine_lock.held(self._ctx.settings.gpu_lock, self._wait) as lock:
            self._started = time.monotonic()
            yield (lock,)

    def _wait(self) -> None:
        self._ctx.check()
        self._ctx.progress(0, 1, note=OTHERS_TURN)

    def _take(self, item: Progress | Saved | str) -> None:
        if isinstance(item, Progress):
            self._progress(item)
        elif isinstance(item, Saved):
            self._uploads.offer(item.step, self._folder / item.folder, self.device_seconds)
        else:
            self._log(item)

    def _log(self, line: str) -> None:
        """Add to the stage's log; a store that is away must not end a training, and gets the line with a later one."""
        try:
            self._ctx.log(line)
        except Outage as outage:
            log.warning("stage.log_late", key=self._ctx.unit.key, error=str(outage))

    def _log_rest(self, process: TrainingProcess) -> None:
        """End the training and take the rest of what it wrote into the log: its trace comes on another pipe."""
        process.end()
        while (item := process.next(0)) is not None:
            if isinstance(item, str):
                self._log(item)

    def _progress(self, item: Progress) -> None:
        self._step = item.step
        self._ctx.progress(item.step, item.total)
        now = time.monotonic()
        if item.row and (now - self._sent > METRICS_EVERY or item.step == item.total):
            self._sent = now
            self._ctx.metrics({"step": float(item.step), **item.row})

    def _failure(self, failed: Failed) -> Exception:
        kinds: dict[str, type[Exception]] = {"stage": StageError, "permanent": PermanentError, "outage": Outage}
        return kinds[failed.kind](failed.message)


def _death(status: int, process: TrainingProcess, step: int) -> str:
    """Why a training that said nothing has ended."""
    if status == -signal.SIGKILL:
        return f"the training was killed (SIGKILL) after step {step}: most likely out of memory"
    if status < 0:
        return f"the training was ended by {signal.Signals(-status).name} after step {step}"
    last = next((line for line in reversed(process.tail) if line.strip()), "it wrote nothing")
    return f"the training exited with status {status} after step {step}: {last}"


def _files(out: Path) -> dict[str, pa.Table | bytes | Path]:
    """The results as the stage's files; the curve as a table, so that its rows are counted."""
    files: dict[str, pa.Table | bytes | Path] = {path.name: path for path in sorted(out.iterdir()) if path.is_file()}
    if CURVE in files:
        files[CURVE] = records.read(out / CURVE)
    return files
