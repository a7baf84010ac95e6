"""A bare engine's process, from the side that asks it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]


class Absent(Exception):
    """The environment lacks the library, or it does not run this model; says why."""


class BareEngine:
    """One library's engine, loaded.

    Raises:
        Absent: it did not start.
    """

    def __init__(self, python: str, library: str, folder: Path, dtype: str) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.bare_engines", library, str(folder), dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        started = self._hear()
        if "absent" in started:
            raise Absent(started["absent"])
        self.start_seconds = float(started["start_seconds"])

    def sample(self, prompts: list[list[int]], tokens: int) -> None:
        assert self._process.stdin is not None
        print(json.dumps({"prompts": prompts, "tokens": tokens}), file=self._process.stdin, flush=True)
        self._hear()

    def cpu_seconds(self) -> float:
        """Of the process and its children."""
        return sum(times.user + times.system for times in (one.cpu_times() for one in self._family()))

    def megabytes(self) -> float:
        """Resident memory of the process and its children, in MB."""
        return sum(one.memory_info().rss for one in self._family()) / 1e6

    def _family(self) -> list[psutil.Process]:
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Absent(f"its process ended with code {self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard
