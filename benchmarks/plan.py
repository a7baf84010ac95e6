"""Planning an experiment of ten thousand stages: must take less than a second.

python -m benchmarks.plan
"""

from __future__ import annotations

import statistics
import sys
import time

from shared.plan.experiment import plan
from tests.unit.specs import resolved, spec_with

STAGES = 10_000
RUNS = 7


def main() -> int:
    experiment = resolved(spec_with(seeds=list(range(310))))
    seconds = []
    stages = 0
    for _ in range(RUNS):
        started = time.perf_counter()
        stages = len(plan(experiment).stages)
        seconds.append(time.perf_counter() - started)
    print(f"{stages} stages: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {RUNS} runs")
    return 0 if stages >= STAGES and statistics.median(seconds) < 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
