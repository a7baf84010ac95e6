"""What does a SIGKILL in the middle of a training cost? Steps done twice, and seconds until the next step.

    python -m benchmarks.resume [--method sft|dpo] [--shape quickstart|smollm2] [--steps 400] [--runs 3]

The training's process is killed once half of its steps are done, and its stage run again as a worker would, against a
real S3 server, with checkpoints at the default interval. The steps done twice are those since the last checkpoint in
the store; the seconds are from the second attempt's start to its first new step, with the imports, the checkpoint's
download and its loading in them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.training import ARGS, inputs
from shared import signals
from shared.store import S3Store
from shared.units import Unit
from tests.integration.trainer.place import Place
from tests.stack import Stack
from tests.waiting import wait_until
from workers.trainer.methods import METHODS

LONG = 3600.0


class Steps:
    """The steps that trainings say they have done, as they say it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._at = b"0"

    def last(self) -> int | None:
        """The last step said since this was asked before; None where nothing was said."""
        found: Any = self._client.xrange(signals.STREAM, min=b"(" + self._at)
        done = None
        for at, fields in found:
            self._at = at
            kind, data = signals.decode(fields)
            done = data["done"] if kind == "progress" else done
        return done


def kill_at(steps: Steps, half: int) -> int:
    """Kill this process's training once it has done so many steps; which step it had said last."""
    step = wait_until(lambda: (done := steps.last()) is not None and done >= half and done, LONG, "half", every=0.05)
    for process in psutil.Process().children(recursive=True):
        if "workers.trainer.child" in process.cmdline():
            process.kill()
    return int(step)


def measure(place: Place, unit: Unit, total: int) -> tuple[int, int, float]:
    """The step killed at, the checkpoint's step, and the seconds to the first step after it."""
    steps = Steps(place.runner.redis)
    steps.last()
    thread = threading.Thread(target=place.train, args=(unit,))
    thread.start()
    killed = kill_at(steps, total // 2)
    thread.join()
    saved = max(place.checkpoints(unit), default=0)
    steps.last()
    began = time.monotonic()
    thread = threading.Thread(target=place.train, args=(unit,))
    thread.start()
    wait_until(lambda: (done := steps.last()) is not None and done > saved, LONG, "a step", every=0.02)
    taken = time.monotonic() - began
    thread.join()
    if not place.committed(unit):
        raise SystemExit(f"the stage did not commit\n{place.log(unit)}")
    return killed, saved, taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, default="sft")
    parser.add_argument("--shape", choices=ARGS, default="quickstart")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--every", type=float, help="seconds between checkpoints (the default setting)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        changed = {} if options.every is None else {"checkpoint_seconds": options.every}
        stack = Stack(Path(name) / "stack", lease_seconds=30.0, **changed)
        try:
            stack.start_servers()
            place = Place(stack.settings, S3Store.from_settings(stack.settings), stack.redis)
            method = METHODS[options.method]
            model, table = inputs(place, Path(name), method, options.shape)
            args = {**ARGS[options.shape], "max_steps": options.steps}
            waits = []
            for run in range(options.runs):
                params = {"method": method.name, "seed": 0, "beta": 0.1, "max_length": 64, "args": args, "run": run}
                kind = "sft" if method.name == "sft" else "rl"
                unit = place.unit(kind, params, **{method.model: model, method.tables: table})
                killed, saved, taken = measure(place, unit, options.steps)
                waits.append(taken)
                share = (options.steps + killed - saved) / options.steps
                words = (
                    f"killed at step {killed} of {options.steps}, last checkpoint at {saved}: {share:.3f} x the steps"
                )
                print(f"run {run}: {words}; first step after {taken:.1f} s", flush=True)
            place.close()
        finally:
            stack.stop()
    print(f"median {statistics.median(waits):.1f} s from start to first step, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
