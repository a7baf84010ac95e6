"""What does a training through Touchstone cost beside the same TRL script run bare?

    python -m benchmarks.training [--pairs 7] [--method sft|dpo] [--steps 400]
    python -m benchmarks.training --shape smollm2 --steps 34
    python -m benchmarks.training --shape smollm2 --method dpo --steps 7
    python -m benchmarks.training --shape smollm2 --steps 41 --peer unsaved --pairs 3

(Seven pairs of the first: about five minutes on an idle core; one pair of the others: six to ten.) Both sides train the
same model with one thread and the same arguments, turn about: the quickstart's, or a random one of SmolLM2-135M's
shape. The peer (`benchmarks/bare_trl.py`) is timed from after its imports until it has saved its model. Touchstone is
timed from the unit's arrival at the worker until its commit is in a real S3 server, less the imports of the training:
inputs fetched, job folder, process, messages, metrics, checkpoints at the default interval (five minutes: a shorter
side has none), hashing and upload are in it. With `--peer unsaved` both sides are Touchstone: one streams a checkpoint
to the store every 20 steps, the other none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.engine import make_model
from shared import records
from shared.artifacts import CommitRef
from shared.canonical import sha256_file
from shared.store import S3Store
from shared.world.prompts import make_prompts
from shared.world.tasks import gold
from tests.integration.trainer.place import Place
from tests.stack import Stack
from workers.trainer.job import Job
from workers.trainer.methods import METHODS
from workers.trainer.methods.base import Method

ROWS = 1000
ARGS: dict[str, dict[str, Any]] = {
    "quickstart": {"per_device_train_batch_size": 32, "learning_rate": 1e-3},
    "smollm2": {"per_device_train_batch_size": 8, "learning_rate": 1e-5},
}
SAVE_STEPS = 20
TARGETS = {"bare": 1.05, "unsaved": 1.03}


def inputs(place: Place, folder: Path, method: Method, shape: str) -> tuple[CommitRef, CommitRef]:
    """The model and the rows, committed; `folder` has both for the peer too."""
    make_model(folder / "model", toy=shape == "quickstart")
    table = rows_of(method.name)
    pq.write_table(peer_rows(method, table), folder / "rows.parquet")
    return (
        place.commit_folder("model", folder / "model"),
        place.commit(method.tables, {"rows.parquet": table}),
    )


def rows_of(method: str) -> pa.Table:
    """Right answers as demonstrations, or pairs of a right answer and another prompt's."""
    prompts = make_prompts(ROWS + 1, 0)
    answers = [gold(prompt.text) for prompt in prompts]
    common = [{"prompt_id": prompt.prompt_id, "prompt": prompt.text} for prompt in prompts[:ROWS]]
    if method == "sft":
        made = [{**row, "sample_index": 0, "completion": answers[at]} for at, row in enumerate(common)]
        return records.from_rows(made, records.COMPLETIONS)
    pairs = [{**row, "chosen": answers[at], "rejected": answers[at + 1]} for at, row in enumerate(common)]
    return records.from_rows(pairs, records.PREFERENCES)


def peer_rows(method: Method, table: pa.Table) -> pa.Table:
    """The rows as a person would prepare them for TRL."""
    return pa.Table.from_pylist([method.example(row) for row in method.rows([table]).to_pylist()])


def bare(method: Method, folder: Path, arguments: dict[str, Any], out: Path) -> float:
    """Seconds of the plain script, after its imports."""
    script = Path(__file__).with_name("bare_trl.py")
    words = [method.name, str(folder / "model"), str(folder / "rows.parquet"), json.dumps(arguments), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *words], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout.strip().splitlines()[-1])


def through_touchstone(place: Place, params: dict[str, Any], given: dict[str, CommitRef]) -> tuple[float, str]:
    """Seconds of the stage, less its training's imports; and the SHA-256 of the weights."""
    kind = "sft" if params["method"] == "sft" else "rl"
    unit = place.unit(kind, params, **given)
    started = time.monotonic()
    marker = place.train(unit)
    seconds = time.monotonic() - started
    log = place.log(unit)
    if marker.outcome != "committed":
        raise SystemExit(f"the stage did not commit: {marker.message}\n{log}")
    imported = re.search(r"imported in ([0-9.]+) s", log)
    assert imported is not None
    return seconds - float(imported[1]), place.artifact(unit).manifest.files["model.safetensors"].sha256


def peer_arguments(method: Method, args: dict[str, Any]) -> dict[str, Any]:
    """What Touchstone would give TRL, less what has only to do with Touchstone."""
    from workers.trainer.training import arguments

    job = Job(method=method.name, args=args, beta=0.1, max_length=64)
    made = arguments(job, method, Path("unused"))
    return {name: value for name, value in made.items() if name != "output_dir"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--method", choices=METHODS, default="sft")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--shape", choices=ARGS, default="quickstart")
    parser.add_argument("--peer", choices=TARGETS, default="bare")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        stack = Stack(Path(name) / "stack", lease_seconds=30.0)
        try:
            stack.start_servers()
            run(Pairs(stack, Path(name), options), options)
        finally:
            stack.stop()


class Pairs:
    """The two sides of a pair: `touchstone`, and its peer, `bare` or `unsaved`."""

    def __init__(self, stack: Stack, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.method = METHODS[options.method]
        self.args = {**ARGS[options.shape], "max_steps": options.steps, "logging_steps": SAVE_STEPS}
        seconds = {
            "touchstone": 0.0 if options.peer == "unsaved" else stack.settings.checkpoint_seconds,
            "unsaved": 1e9,
        }
        self.places = {
            who: Place(settings, S3Store.from_settings(settings), stack.redis)
            for who, pause in seconds.items()
            if (settings := stack.settings.model_copy(update={"checkpoint_seconds": pause}))
        }
        model, table = inputs(self.places["touchstone"], folder, self.method, options.shape)
        self.given = {self.method.model: model, self.method.tables: table}

    def seconds(self, who: str, pair: int) -> tuple[float, str]:
        """How long one side took, and the SHA-256 of its weights."""
        if who == "bare":
            out = self.folder / f"bare-{pair}"
            taken = bare(self.method, self.folder, peer_arguments(self.method, self.args), out)
            digest = sha256_file(out / "model.safetensors")
            shutil.rmtree(out)
            return taken, digest
        params = {"method": self.method.name, "seed": 0, "beta": 0.1, "max_length": 64, "args": self.args}
        return through_touchstone(self.places[who], {**params, "pair": f"{who}-{pair}"}, self.given)

    def close(self) -> None:
        for place in self.places.values():
            place.close()


def run(pairs: Pairs, options: argparse.Namespace) -> None:
    """The pairs, turn about which comes first, and what came out."""
    ratios, costs = [], []
    sides = (options.peer, "touchstone")
    for pair in range(options.pairs):
        seconds, cpu, weights = {}, {}, {}
        for who in reversed(sides) if pair % 2 else sides:
            before = cpu_seconds()
            seconds[who], weights[who] = pairs.seconds(who, pair)
            cpu[who] = cpu_seconds() - before
        ratios.append(seconds["touchstone"] / seconds[options.peer])
        costs.append(cpu["touchstone"] / cpu[options.peer])
        both = ", ".join(f"{who} {seconds[who]:.2f} s ({cpu[who]:.1f} s of CPU)" for who in seconds)
        same = len(set(weights.values())) == 1
        print(f"pair {pair}: {both}, ratio {ratios[-1]:.3f}, same weights: {same}", flush=True)
    pairs.close()
    median = statistics.median(ratios)
    what = f"{options.method}, {options.shape}, {options.steps} steps, {options.pairs} pairs beside {options.peer}"
    print(f"{what}, {processor()}, load {os.getloadavg()[0]:.1f}")
    target = TARGETS[options.peer]
    print(f"median ratio {median:.3f}, range {min(ratios):.3f} to {max(ratios):.3f} (target: at most {target})")
    print(f"median ratio of CPU, imports included: {statistics.median(costs):.3f}")


def cpu_seconds() -> float:
    """CPU time of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def processor() -> str:
    """The CPU's name and how many cores there are."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", path.read_text()) if path.exists() else None
    return f"{found[1] if found else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
