"""From ready to started: how long a stage waits when its inputs are committed and a worker of its queue is idle.

    python -m benchmarks.queue_to_start [STAGES]

Real Valkey, S3 server, conductor and workers; the stages' work is a stub that takes no time. One small experiment runs
at a time, so that workers are idle. A stage is ready when the last of its inputs' manifests is finished; it has
started when its worker says so in its own manifest. Prints the median, p95 and the worst, in milliseconds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from shared import experiments
from shared.artifacts import Manifest
from shared.kinds import QUEUES
from tests.stack import Stack
from tests.unit.specs import resolved, spec_with
from tests.waiting import wait_until

TARGET_MS = 200.0


def measure(stack: Stack, stages: int) -> list[float]:
    """Milliseconds from ready to started, of at least `stages` stages."""
    waits: list[float] = []
    seen: set[str] = set()
    seed = 0
    while len(waits) < stages:
        spec = spec_with(seeds=[seed])
        spec["arms"] = {"sft-weak": spec["arms"]["sft-weak"], "sft-strong": spec["arms"]["sft-strong"]}
        spec["primary"]["contrast"] = "teacher"
        id = experiments.new_id()
        experiments.create(stack.store, stack.redis, resolved(spec), "", id)
        wait_until(lambda id=id: _done(stack, id), 60, "the experiment to finish")  # type: ignore[misc]
        fresh = [manifest for manifest in _manifests(stack) if manifest.key not in seen]
        seen |= {manifest.key for manifest in fresh}
        summary = experiments.read_summary(stack.redis, stack.store, id)
        assert summary is not None
        created = datetime.fromisoformat(summary["created"])
        waits += [wait for manifest in fresh if (wait := _waited(stack, manifest, created)) is not None]
        seed += 1
    return waits


def _done(stack: Stack, id: str) -> bool:
    summary = experiments.read_summary(stack.redis, stack.store, id)
    return summary is not None and summary["state"] == "succeeded"


def _manifests(stack: Stack) -> list[Manifest]:
    return [Manifest.from_json(stack.store.get(info.name)) for info in stack.store.list("commits/")]


def _waited(stack: Stack, manifest: Manifest, created: datetime) -> float | None:
    """None for a stage that was ready before its experiment was created."""
    inputs = [Manifest.from_json(stack.store.get(ref.object)) for ref in manifest.inputs.values()]
    ready = max((datetime.fromisoformat(one.finished) for one in inputs), default=created)
    if ready <= created:
        return None
    return (datetime.fromisoformat(manifest.started) - ready).total_seconds() * 1000


def main(stages: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            stack.start_servers()
            stack.start("conductor", ["-m", "services.conductor"])
            for queue in QUEUES:
                stack.start(queue, ["-m", "tests.stubs.worker", queue, "4"], STUB_SECONDS="0")
            wait_until(lambda: len(stack.app.control.ping(timeout=1)) == len(QUEUES), 60, "the workers")
            waits = sorted(measure(stack, stages))
        finally:
            stack.stop()
    p95 = waits[round(0.95 * (len(waits) - 1))]
    print(f"{len(waits)} stages: median {statistics.median(waits):.0f} ms, p95 {p95:.0f} ms, worst {waits[-1]:.0f} ms")
    print(f"target: p95 under {TARGET_MS:.0f} ms: {'reached' if p95 < TARGET_MS else 'missed'}")
    return 0 if p95 < TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
