"""The embedded engine as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def start_engine(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start `python -m services.inference.embedded` on a free port."""
    command = [sys.executable, "-m", "services.inference.embedded", "--model", str(folder), "--port", "0", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def announced(process: subprocess.Popen[bytes]) -> str:
    """The URL that a starting engine says. Raises what it said instead."""
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.stderr.read().decode())
    return str(json.loads(line)["url"])
