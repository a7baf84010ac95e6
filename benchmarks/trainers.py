"""Many trainer workers on one broker: how long each is idle between two stages, and is any stage run twice?

    python -m benchmarks.trainers [--workers 64] [--stages 1000] [--seconds 10]

Real Valkey, S3 server, conductor and workers, a process each; a training is a child process that sleeps, and loads no
torch. All trainings are ready from the start. A worker is idle from its child's end until its next child's start, which
has the commit, the lease, the queue and the conductor in it. Utilisation is the share of all workers' time, from the
first child's start until the last one's, that children ran. (About five minutes; it wants some quiet: 64 workers share
the machine's cores with everything else.)
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pyarrow as pa

from shared import experiments, records
from shared.artifacts import StageResult
from shared.context import StageContext
from shared.kinds import KINDS, QUEUES
from shared.queues import celery_app, run_worker
from shared.runner import register
from tests.stack import ROOT, Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

IDLE_P95 = 1.0
UTILISATION = 95.0
BARE = ["-m", "benchmarks.trainers", "--serve"]


def train(ctx: StageContext) -> StageResult:
    """A child that sleeps, watched as a training's is; leaves one line of when it ran."""
    began = time.time()
    with subprocess.Popen(["sleep", os.environ["STUB_SECONDS"]]) as child:
        while child.poll() is None:
            ctx.check()
            try:
                child.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
    with Path(os.environ["STUB_LOG"]).open("a") as log:
        log.write(f"{os.getpid()} {ctx.unit.commit_key} {began} {time.time()}\n")
    return StageResult({"rows.parquet": pa.table({"key": [ctx.unit.commit_key]})}, {})


def serve() -> None:
    """One such trainer worker."""
    # What a worker imports at its first commit: here all would do so in the same second, on the cores of one machine.
    records.to_bytes(pa.table({"key": [""]}))
    app = celery_app("trainer")
    for kind in KINDS.values():
        if kind.queue == "trainer":
            register(app, kind.name, train)
    run_worker(app, "trainer", 1)


def measure(stack: Stack, stages: int) -> list[tuple[str, str, float, float]]:
    """Worker, stage, start and end (Unix seconds) of every child, once `stages` trainings and all before them ran."""
    log = stack.folder / "children.log"
    spec = spec_with(seeds=list(range(stages // 2)))
    spec["arms"] = {"sft-weak": spec["arms"]["sft-weak"], "sft-strong": spec["arms"]["sft-strong"]}
    spec["primary"]["contrast"] = "teacher"
    experiments.create(stack.store, stack.redis, resolved(spec), "", experiments.new_id())

    def children() -> list[tuple[str, str, float, float]]:
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        return [(pid, key, float(began), float(ended)) for pid, key, began, ended in lines]

    wait_until(lambda: len(children()) > stages, 3600, "the trainings", every=2)
    return children()[1:]


def report(children: list[tuple[str, str, float, float]], workers: int) -> bool:
    """Print what came out; whether all goals are reached."""
    by_worker: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pid, _, began, ended in children:
        by_worker[pid].append((began, ended))
    idle = sorted(after[0] - before[1] for spans in by_worker.values() for before, after in itertools.pairwise(spans))
    start, last = min(began for _, _, began, _ in children), max(began for _, _, began, _ in children)
    ran = sum(min(ended, last) - began for _, _, began, ended in children if began < last)
    used = 100 * ran / (workers * (last - start))
    twice = len(children) - len({key for _, key, _, _ in children})
    p95 = idle[round(0.95 * (len(idle) - 1))]
    print(f"{len(children)} trainings by {len(by_worker)} workers, {last - start:.0f} s from first to last start")
    print(f"idle between two: median {idle[len(idle) // 2]:.2f} s, p95 {p95:.2f} s, worst {idle[-1]:.2f} s")
    print(f"utilisation {used:.1f}%, run twice: {twice}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    reached = p95 < IDLE_P95 and used >= UTILISATION and not twice
    print(
        f"goals: p95 under {IDLE_P95:g} s, at least {UTILISATION:g}%, none twice: {'reached' if reached else 'missed'}"
    )
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--stages", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), lease_seconds=30.0, relist_seconds=30.0)
        try:
            stack.start_servers()
            given = {"STUB_LOG": str(stack.folder / "children.log"), "STUB_SECONDS": str(options.seconds)}
            for at in range(options.workers):
                stack.start(f"trainer-{at}", BARE, ROOT, **given)
            for queue in QUEUES:
                if queue != "trainer":
                    stack.start(queue, ["-m", "tests.stubs.worker", queue, "4"], STUB_SECONDS="0")
            everyone = options.workers + len(QUEUES) - 1
            wait_until(lambda: len(stack.app.control.ping(timeout=3)) >= everyone, 300, "the workers")
            stack.start("conductor", ["-m", "services.conductor"])
            children = measure(stack, options.stages)
        finally:
            stack.stop()
    return 0 if report(children, options.workers) else 1


if __name__ == "__main__":
    sys.exit(main())
