"""What the worker does for one training: starts it, follows it, keeps its checkpoints, and hands its results over."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import structlog

from shared import machine_lock, records
from shared.artifacts import Cost, FileRef, StageResult
from shared.context import StageContext
from shared.errors import Outage, PermanentError, StageError, Stopped
from shared.hardware import layout
from shared.trials import DIVERGED
from shared.trl import ACCUMULATION, BATCH
from workers.trainer import references
from workers.trainer.checkpoints import Checkpoints, Marker
from workers.trainer.disk import check_disk
from workers.trainer.failures import MEMORY_FIX
from workers.trainer.job import CHECKPOINTS, OUT, SAVE, STATES, Job
from workers.trainer.leftovers import held
from workers.trainer.memory import halved, kernel_kills
from workers.trainer.messages import Done, Failed, Kept, Progress, Saved
from workers.trainer.prepare import RESUME, prepare
from workers.trainer.process import TrainingProcess, command, environment
from workers.trainer.states import States
from workers.trainer.uploads import Uploads

log = structlog.get_logger()

POLL = 0.1
METRICS_EVERY = 0.25
CURVE = "loss.parquet"
OTHERS_TURN = "waits for the GPU, which another worker of this host has (TOUCHSTONE_GPU_LOCK)"
PRETRAIN = "pretrain"
"""The one method that saves nothing on its way: it takes less than a minute."""


class MemoryFailure(StageError):
    """The training ran out of memory after so many steps."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


def train(ctx: StageContext) -> StageResult:
    """Run one training, from its newest checkpoint where there is one; out of memory, once more in smaller pieces.

    Raises:
        Stopped: the work must end; every process of the training is gone by then.
        StageError: the training failed, with its last readable line; its whole trace is in the stage's log.
        PermanentError: it would fail again.
        Outage: the store or the model hub is away, the disk has no room, or the GPU is broken.
    """
    folder = ctx.workdir.resolve() / "job"
    folder.mkdir(parents=True)
    # Beyond this function: the weights are uploaded after it, and wait here while the store is away.
    ctx.keep(held(ctx.workdir))
    checkpoints = Checkpoints(ctx.store, ctx.scratch, layout(ctx.unit.options))
    states = States(ctx.store, ctx.unit, ctx.scratch)
    resumed = _resumed(ctx, checkpoints, folder)
    job = prepare(ctx, folder, resumed is not None)
    ctx.log(str(ctx.cache.used))
    check_disk(folder, job)
    followed = _Followed(ctx, folder, checkpoints, states, resumed.device_seconds if resumed is not None else 0.0)
    try:
        done = followed.run(job)
    except MemoryFailure as failure:
        smaller = halved(job)
        if smaller is None:
            raise
        pieces = {name: smaller.args[name] for name in (BATCH, ACCUMULATION)}
        words = " and ".join(f"{name} {value}" for name, value in pieces.items())
        note = f"out of memory after step {failure.step}; once more, with {words}"
        ctx.log(f"{note}: {failure}")
        _go_back(ctx, checkpoints, folder, smaller)
        followed = _Followed(ctx, folder, checkpoints, states, followed.device_seconds, note)
        done = followed.run(smaller)
        done = done.model_copy(
            update={"metrics": {**done.metrics, "memory_retry": pieces | {"after_step": failure.step}}}
        )
    files = _files(folder / OUT)
    if job.checkpoints > 1 and DIVERGED not in done.metrics:
        files |= states.files(folder / STATES)
    return StageResult(files, done.metrics, Cost(device_seconds=round(followed.device_seconds, 3)))


def _go_back(ctx: StageContext, checkpoints: Checkpoints, folder: Path, job: Job) -> None:
    """Make the folder that of another training, from the newest checkpoint in the store."""
    for left in (CHECKPOINTS, RESUME, OUT, STATES):
        shutil.rmtree(folder / left, ignore_errors=True)
    resumed = _resumed(ctx, checkpoints, folder)
    job.model_copy(update={"resume": RESUME if resumed is not None else None}).write(folder)


def _resumed(ctx: StageContext, checkpoints: Checkpoints, folder: Path) -> Marker | None:
    """The newest whole checkpoint, which lies in the folder then."""
    marker = checkpoints.download_newest(folder / RESUME)
    if marker is not None:
        ctx.log(f"going on from the checkpoint of step {marker.step}")
    return marker


class _Followed:
    """One training's process as the worker follows it."""

    def __init__(
        self,
        ctx: StageContext,
        folder: Path,
        checkpoints: Checkpoints,
        states: States,
        spent: float,
        note: str | None = None,
    ) -> None:
        self._ctx = ctx
        self._folder = folder
        self._uploads = Uploads(checkpoints, ctx.advanced, self._log, states=states)
        self._spent = spent
        self._gpus = int(ctx.unit.options.get("gpus", 1))
        self._note = note
        self._started = time.monotonic()
        self._step = 0
        self._saved = 0
        self._sent = 0.0
        self._kills = kernel_kills()

    @property
    def device_seconds(self) -> float:
        """Seconds of training so far on every GPU, those before a resumption included."""
        return self._spent + (time.monotonic() - self._started) * self._gpus

    def run(self, job: Job) -> Done:
        """Follow the training to its end."""
        started = environment(self._folder, job.threads, offline=not job.trust_remote_code)
        with (
            self._device() as keeps,
            self._uploads,
            TrainingProcess(command(self._folder, self._gpus), started, keeps) as process,
        ):
            while True:
                try:
                    self._ctx.check()
                except Stopped:
                    if self._ctx.ending and self._has_what_to_save(job) and (done := self._save(process)):
                        return done
                    raise
                if (done := self._follow(process)) is not None:
                    return done

    def _follow(self, process: TrainingProcess) -> Done | None:
        """Take in what the training says next, if it says something soon; its results once it is done."""
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
            raise self._death(status, process)
        return None

    def _has_what_to_save(self, job: Job) -> bool:
        return self._step > 0 and job.method != PRETRAIN

    def _save(self, process: TrainingProcess) -> Done | None:
        """Let the training save itself while there is time, since its worker must end; or let it come to its end."""
        self._uploads.hurry()
        (self._folder / SAVE).touch()
        before, until = self._saved, time.monotonic() + self._ctx.settings.grace_seconds
        while time.monotonic() < until:
            if (done := self._follow(process)) is not None:
                return done
            if self._saved > before and self._uploads.idle:
                return None
        self._log(f"the worker ends, and the training did not save itself within {self._ctx.settings.grace_seconds} s")
        return None

    @contextmanager
    def _device(self) -> Iterator[Sequence[int]]:
        """The GPU, where an engine of this host may have it: waited for, and held until the training's last process."""
        settings = self._ctx.settings
        if settings.gpu_lock is None and not self._ctx.unit.options.get("share", False):
            yield ()
            return
        with machine_lock.held(settings.engine_lock, self._wait) as lock:
            self._started = time.monotonic()
            yield (lock,)

    def _wait(self) -> None:
        self._ctx.check()
        self._ctx.progress(0, 1, note=OTHERS_TURN)

    def _take(self, item: Progress | Saved | Kept | str) -> None:
        if isinstance(item, Progress):
            self._progress(item)
        elif isinstance(item, Saved):
            self._saved += 1
            self._uploads.offer(item.step, self._folder / item.folder, self.device_seconds)
        elif isinstance(item, Kept):
            self._uploads.keep(item.number, self._folder / item.folder)
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
        self._ctx.progress(item.step, item.total, self._note)
        now = time.monotonic()
        if item.row and (now - self._sent > METRICS_EVERY or item.step == item.total):
            self._sent = now
            self._ctx.metrics({"step": float(item.step), **item.row})

    def _failure(self, failed: Failed) -> Exception:
        if failed.cause == "memory":
            return MemoryFailure(failed.message, failed.step or 0)
        kinds: dict[str, type[Exception]] = {"stage": StageError, "permanent": PermanentError, "outage": Outage}
        return kinds[failed.kind](failed.message)

    def _death(self, status: int, process: TrainingProcess) -> StageError:
        """Why a training that said nothing has ended."""
        step = self._step
        if status == -signal.SIGKILL and kernel_kills() > self._kills:
            return MemoryFailure(f"the kernel killed the training after step {step}: out of memory: {MEMORY_FIX}", step)
        if status == -signal.SIGKILL:
            return StageError(f"the training was killed (SIGKILL) after step {step}: most likely out of memory")
        if status < 0:
            return StageError(f"the training was ended by {signal.Signals(-status).name} after step {step}")
        last = next((line for line in reversed(process.tail) if line.strip()), "it wrote nothing")
        return StageError(f"the training exited with status {status} after step {step}: {last}")


def _files(out: Path) -> dict[str, pa.Table | bytes | Path | FileRef]:
    """The results as the stage's files; tables as tables, so that their rows are counted."""
    files: dict[str, pa.Table | bytes | Path | FileRef] = {
        path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*")) if path.is_file()
    }
    for name in files.keys() & {CURVE, references.FILE}:
        files[name] = records.read(out / name)
    return files
