"""How long a report takes, and what it holds in memory: 20 arms x 805 prompts x 3 judges, with length control for each.

Run it: `python -m benchmarks.report [--arms 20] [--prompts 805] [--judges 3] [--seeds 1]` (about a minute, most of it
to make the judgements up). The goal is 10 s and 1 GB. Measured is what the report stage does: reading every committed
artifact, all statistics and figures, and both files. Completions are about as long as AlpacaEval's, 1,100 characters.
As the analyst's container does, it keeps linear algebra to one thread.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from services.analyst.tasks import HTML, JSON, make
from shared.spec.model import Spec
from shared.spec.parse import parse_spec
from tests.unit.analyst.fixture import Experiment, quickstart
from tests.unit.analyst.lengths.world import lengthy

WALL_S, PEAK_MB = 10.0, 1000.0
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def spec_of(arms: int, prompts: int, judges: int, seeds: int, controlled: bool) -> dict[str, Any]:
    """So many arms, half of them the starts of the others, each judged by every judge."""
    rl = {"critic": "critic"}
    models = {
        f"judge-{number}": {"provider": "simulated", "error_rate": 0.1, "seed": number} for number in range(judges)
    }
    evaluations: dict[str, Any] = {}
    for number in range(judges):
        against = {"judge": f"judge-{number}", "reference": "reference", "temperature": 0.7}
        evaluations[f"win-{number}"] = {"protocol": "pairwise", **against}
        if controlled:
            evaluations[f"lc-{number}"] = {"protocol": "length_controlled", **against}
    base = quickstart()
    for field in ("preset", "weak", "strong", "critic", "fraction", "rl"):
        del base[field]
    return {
        **base,
        "models": {**base["models"], **models},
        "seeds": list(range(seeds)),
        "prompts": {"source": {"world": {"seed": 0}}, "train": 1500, "dev": 0, "eval": prompts},
        "arms": {
            f"rlaif-{number:02}": {"sft": {"teacher": "weak-teacher", "fraction": (number + 1) / 100}, "rl": rl}
            for number in range(arms // 2)
        },
        "evaluations": evaluations,
        "primary": {"contrast": "gain-00", "evaluation": "win-0@0.7"},
    }


def committed(folder: Path, spec: dict[str, Any], prompts: int) -> Experiment:
    """The experiment with every stage done; RL arms are a fifth longer than their starts."""
    parsed: Spec = parse_spec(spec)
    levels = {name: 0.1 * place for place, name in enumerate(parsed.arms)}
    return lengthy(folder, spec, levels, dict.fromkeys(parsed.arms, 0.2), prompts, size=6.9)


def measure(options: argparse.Namespace, controlled: bool) -> None:
    """Make the report and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        spec = spec_of(options.arms, options.prompts, options.judges, options.seeds, controlled)
        experiment = committed(Path(folder), spec, options.prompts)
        artifacts = experiment.artifacts()
        # What is made once a process, whatever the report: fonts and templates.
        make(*tiny(Path(folder)), partial=False)
        began, cpu = time.perf_counter(), time.process_time()
        files = make(experiment.params, artifacts, partial=False)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sizes = ", ".join(f"{name} {len(files[name]) / 1e6:.1f} MB" for name in (JSON, HTML))
    print(
        f"{options.arms} arms x {options.prompts} prompts x {options.judges} judges x {options.seeds} seeds, "
        f"{'with' if controlled else 'without'} length control: {wall:.1f} s, CPU {cpu:.1f} s "
        f"(goal {WALL_S:g} s: {'met' if wall < WALL_S else 'MISSED'}); peak {peak:.0f} MB, made-up judgements included "
        f"(goal {PEAK_MB:g} MB: {'met' if peak < PEAK_MB else 'MISSED'}); {sizes}",
        flush=True,
    )


def tiny(folder: Path) -> tuple[dict[str, Any], Any]:
    """The smallest report."""
    whole = lengthy(
        folder, quickstart(prompts={"source": {"world": {"seed": 0}}, "train": 1500, "eval": 20}), prompts=20
    )
    return whole.params, whole.artifacts()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("arms", 20), ("prompts", 805), ("judges", 3), ("seeds", 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--measure", choices=("with", "without"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options, options.measure == "with")
        return
    for way in ("without", "with"):
        # A process each: the number of threads is read at its start, and its peak is its own.
        command = [sys.executable, "-m", "benchmarks.report", *sys.argv[1:], "--measure", way]
        subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD})


if __name__ == "__main__":
    main()
