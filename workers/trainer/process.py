"""The training's processes: a group of their own, their lines, and their end."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from workers.trainer.messages import Message, parse

GRACE = 3.0
TAIL = 400
ROOT = Path(__file__).resolve().parents[2]


class TrainingProcess:
    """A training in its own session. It cannot outlive this object's `end`, nor this process (`lifeline`).

    `keeps` are open files, such as a lock, that it holds too.
    `tail` keeps the last lines that it wrote to standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], keeps: Sequence[int] = ()) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._ended = False
        self._items: queue.Queue[Message | str] = queue.Queue()
        self._process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            pass_fds=tuple(keeps),
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        readers = ((self._process.stdout, True), (self._process.stderr, False))
        self._readers = [threading.Thread(target=self._read, args=reader, daemon=True) for reader in readers]
        for thread in self._readers:
            thread.start()

    @property
    def pid(self) -> int:
        """The group's leader and the group's id."""
        return self._process.pid

    def next(self, timeout: float) -> Message | str | None:
        """The next message, or line for the log; None if none came within `timeout` seconds."""
        try:
            return self._items.get(timeout=timeout)
        except queue.Empty:
            return None

    def exited(self) -> int | None:
        """The leader's exit status once it has ended (a signal's negative number), else None."""
        return self._process.poll()

    def end(self) -> None:
        """End every process of the training: SIGTERM, and after `GRACE` seconds SIGKILL; ranks too.

        All that they wrote is in `next`'s reach then. A second call does nothing.
        """
        if self._ended:
            return
        self._ended = True
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        # A launcher's ranks lead sessions of their own; what reaches them is the end of the lifeline.
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._signal(signal.SIGKILL)
        self._process.wait()
        for thread in self._readers:
            thread.join(GRACE)

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def _read(self, stream: IO[str], messages: bool) -> None:
        for line in stream:
            message = parse(line) if messages else None
            if message is None:
                self.tail.append(line.rstrip())
            self._items.put(message if message is not None else line.rstrip())
        stream.close()


LAUNCHER = ("-m", "torch.distributed.run", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0")


def command(folder: Path, gpus: int = 1) -> list[str]:
    """What starts a training: one process, or torch's launcher with a rank for each GPU of this machine."""
    launcher = [] if gpus == 1 else [*LAUNCHER, f"--nproc_per_node={gpus}"]
    return [sys.executable, *launcher, "-m", "workers.trainer.child", str(folder)]


def environment(folder: Path, threads: int, offline: bool) -> dict[str, str]:
    """The training's environment: this process's, less Touchstone's settings (a training needs no credentials).

    `offline` ones ask no hub; a model's own code may name another repository's.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(threads),
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TQDM_DISABLE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **({"HF_HUB_OFFLINE": "1"} if offline else {}),
    }
