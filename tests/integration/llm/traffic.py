"""A simulator whose log says what it was asked, and when."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.stack import Stack

WRITTEN = 0.25
"""Seconds after which an answer that was handed to the socket must be safe."""


def start_simulator(stack: Stack, *options: str, latency_ms: int = 60) -> Path:
    """Start a simulator that takes its time; returns its log."""
    log = stack.folder / "traffic.jsonl"
    stack.start("simulator", ["-m", "services.simulator", "--latency-ms", str(latency_ms), "--log", str(log), *options])
    stack.wait_ready("simulator")
    return log


def traffic(log: Path) -> list[dict[str, Any]]:
    """Its whole lines so far."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [json.loads(line) for line in lines]


def asked_twice(log: Path, killed: float) -> list[str]:
    """Requests that were sent again although their answer was written well before the kill."""
    safe = {line["hash"] for line in traffic(log) if line["answered"] and line["answered"] < killed - WRITTEN}
    counts = Counter(line["hash"] for line in traffic(log))
    return [content for content in safe if counts[content] > 1]
