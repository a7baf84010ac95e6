"""A real worker of one queue whose stages take `STUB_SECONDS` each and commit rows that follow from their key.

`python -m tests.stubs.worker QUEUE [CONCURRENCY]`. STUB_LOG names a file that gets one line for each stage begun.
STUB_SUICIDE names a kind at which the worker kills itself; STUB_HOLD a kind that says `ready` in the log before its
commit and waits for the file STUB_HOLD_UNTIL.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pyarrow as pa

from shared.artifacts import StageResult
from shared.context import StageContext
from shared.kinds import KINDS
from shared.queues import celery_app, run_worker
from shared.runner import register

SECONDS = float(os.environ.get("STUB_SECONDS", "0.2"))


def note(word: str, ctx: StageContext) -> None:
    """Add a line to the log, whole."""
    if log := os.environ.get("STUB_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{word} {ctx.unit.kind} {ctx.unit.commit_key} {os.getpid()} {time.time()}\n")


def work(ctx: StageContext) -> StageResult:
    """Take the time, then return rows that follow from the stage's key and its inputs' content."""
    note("began", ctx)
    if os.environ.get("STUB_SUICIDE") == ctx.unit.kind:
        os.kill(os.getpid(), signal.SIGKILL)
    steps = max(1, round(SECONDS / 0.05))
    for step in range(steps):
        ctx.check()
        ctx.progress(step, steps)
        time.sleep(SECONDS / steps)
    read = sorted(ref.sha256 for name in ctx.unit.inputs for ref in ctx.input(name).manifest.files.values())
    if os.environ.get("STUB_HOLD") == ctx.unit.kind:
        note("holding", ctx)
        while not Path(os.environ["STUB_HOLD_UNTIL"]).exists():
            time.sleep(0.02)
    table = pa.table({"key": [ctx.unit.commit_key], "read": ["".join(read)[:4000]]})
    metrics = {"train": 100, "dev": 10, "eval": 40, "near_duplicates": 0} if ctx.unit.kind == "prompts" else {}
    return StageResult({"rows.parquet": table}, metrics)


def main(queue: str, concurrency: int) -> None:
    """Serve one queue with stub stages."""
    app = celery_app(f"stub-{queue}")
    for kind in KINDS.values():
        if kind.queue == queue.partition(".")[0]:
            register(app, kind.name, work)

    def partial_report(payload: dict[str, object]) -> None:
        """A stub's partial report is nothing."""

    app.task(name="partial-report")(partial_report)
    run_worker(app, queue, concurrency)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
