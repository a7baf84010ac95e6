"""The stage `reward`: what a sequence-classification checkpoint thinks of completions."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import pyarrow as pa

from services.inference.engines.embedded import child_environment
from services.inference.stage import model_folder
from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.errors import PermanentError, StageError

POLL = 0.25
IDLE_SECONDS = 60.0

Said = queue.SimpleQueue[dict[str, Any] | None]


def reward(ctx: StageContext, raters: Raters) -> StageResult:
    """Score every completion of the input `completions` (COMPLETIONS, or PREFERENCES: both of each pair).

    Params: model ({uploaded: sha256} or {hub: name, revision: commit}), dtype, max_length (tokens of prompt and
    completion together). Options: batch_size. Writes rewards.parquet (REWARDS), in the input's order.

    Raises:
        PermanentError: the checkpoint is no reward model.
        Stopped: the stage must end; the child ends with it.
    """
    table, params = completions_of(ctx.input("completions").rows()), ctx.unit.params
    rows, out = ctx.workdir / "rows.parquet", ctx.workdir / "rewards.parquet"
    rows.write_bytes(records.to_bytes(table.select(["prompt", "completion"])))
    job = {
        "folder": str(model_folder(ctx)),
        "rows": str(rows),
        "out": str(out),
        "lock": str(ctx.settings.engine_lock),
        "dtype": params["dtype"],
        "max_length": params.get("max_length"),
        "batch_size": ctx.unit.options.get("batch_size", 16),
        "threads": ctx.settings.torch_threads,
    }
    seconds = raters.score(ctx, job, table.num_rows)
    found = records.read(out)
    columns = {name: table[name] for name in ("prompt_id", "sample_index", "completion")}
    rewards = pa.table({**columns, "reward": found["reward"], "tokens": found["tokens"]}).cast(records.REWARDS)
    metrics = {"completions": table.num_rows, "tokens": sum(found["tokens"].to_pylist()), "seconds": seconds}
    return StageResult({"rewards.parquet": rewards}, metrics, Cost(device_seconds=seconds))


def completions_of(table: pa.Table) -> pa.Table:
    """The table itself, or the completions of its pairs one below the other."""
    if "completion" in table.column_names:
        return table
    sides = []
    for place, name in enumerate(("completion_a", "completion_b")):
        index = pa.array([place] * table.num_rows, pa.int32())
        sides.append(
            table.select(["prompt_id", "prompt", name])
            .rename_columns(["prompt_id", "prompt", "completion"])
            .append_column("sample_index", index)
        )
    return pa.concat_tables(sides)


class Raters:
    """A process that scores, kept for the next stage while it is young: importing transformers takes seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._said: Said = queue.SimpleQueue()
        self._idle: threading.Timer | None = None

    def score(self, ctx: StageContext, job: dict[str, Any], total: int) -> float:
        """Have a job done: the seconds that it took. What goes wrong ends the process. Raises what `reward` does."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            try:
                self._send(job)
                seconds = self._wait(ctx, total)
            except BaseException:
                self._end()
                raise
            self._idle = threading.Timer(IDLE_SECONDS, self.close)
            self._idle.daemon = True
            self._idle.start()
            return seconds

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _send(self, job: dict[str, Any]) -> None:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "services.inference.rewarding"],
                env=child_environment(job["threads"]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            self._said = queue.SimpleQueue()
            threading.Thread(target=_read, args=(self._child, self._said), name="rewarding", daemon=True).start()
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(job).encode() + b"\n")
        self._child.stdin.flush()

    def _wait(self, ctx: StageContext, total: int) -> float:
        """Follow what the process says until the job is done."""
        while True:
            ctx.check()
            try:
                message = self._said.get(timeout=POLL)
            except queue.Empty:
                continue
            if message is None:
                raise StageError("the reward model's process ended: out of memory?")
            if "error" in message:
                raise (PermanentError if message["permanent"] else StageError)(message["error"])
            if "seconds" in message:
                return float(message["seconds"])
            ctx.progress(message["done"], total)

    def _end(self) -> None:
        """SIGKILL to the process and what it may have started; it has nothing to clean up."""
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        with suppress(BrokenPipeError):
            if child.stdin is not None:
                child.stdin.close()


def _read(child: subprocess.Popen[bytes], said: Said) -> None:
    """Hand on what a process says, until it ends."""
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            said.put(json.loads(line))
    said.put(None)
