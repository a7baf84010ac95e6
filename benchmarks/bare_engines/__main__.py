"""The process of one bare engine: see the package."""

# mypy: ignore-errors
from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main() -> None:
    library, folder, dtype = sys.argv[1:]
    os.environ.update(dict.fromkeys(THREADS, "1"))
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    started = time.perf_counter()
    try:
        sample = importlib.import_module(f"benchmarks.bare_engines.{library}").load(Path(folder), dtype)
    except Exception as error:
        _say(answers, {"absent": f"{type(error).__name__}: {error}".splitlines()[0]})
        raise
    _say(answers, {"start_seconds": time.perf_counter() - started})
    for line in sys.stdin:
        asked = json.loads(line)
        counts = sample(asked["prompts"], asked["tokens"])
        assert counts == [asked["tokens"]] * len(asked["prompts"]), counts
        _say(answers, {})
    # Some libraries hang or crash in their own clean-up.
    os._exit(0)


def _say(answers, message: dict[str, float | str]) -> None:
    print(json.dumps(message), file=answers, flush=True)


main()
