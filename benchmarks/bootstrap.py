"""How long a bootstrap of every arm takes, and what it holds in memory.

Run it: `python -m benchmarks.bootstrap [--prompts 805] [--arms 20] [--resamples 10000]`. The goal is 10,000 resamples
of 805 prompts x 20 arms, with BCa intervals of every arm, in under 2 s on one core.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from services.analyst.bootstrap import RESAMPLES, bca, percentile, resampled_means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=805)
    parser.add_argument("--arms", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    scores = 25.0 * np.random.default_rng(0).integers(0, 5, (options.prompts, options.arms))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = [], []
    for _ in range(options.repeats):
        began = time.perf_counter(), time.process_time()
        means = resampled_means(scores, options.resamples)
        percentile(means)
        bca(scores, means)
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(
        f"{options.resamples:,} resamples of {options.prompts} prompts x {options.arms} arms with percentile and BCa "
        f"intervals: median {np.median(wall):.2f} s ({np.median(cpu):.2f} s of CPU), {held:.0f} MB more at the peak"
    )


if __name__ == "__main__":
    main()
