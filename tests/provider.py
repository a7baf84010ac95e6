"""A provider that misbehaves as a test tells it: the simulator with faults, as its own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.stack import Stack


class Provider:
    """Control of a running stand-in; `Faults` in services/simulator/standin/faults.py says what can be set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"

    def set(self, **faults: Any) -> None:
        """Change some faults; the others stay."""
        answer = httpx.post(f"{self.url}/faults", json=faults)
        assert answer.status_code == 200, answer.text

    def behave(self) -> None:
        """Back to the faults of its start."""
        httpx.delete(f"{self.url}/faults").raise_for_status()

    def stats(self) -> dict[str, Any]:
        """What it was asked, how near the limits came, the bill."""
        stats: dict[str, Any] = httpx.get(f"{self.url}/stats", timeout=60).raise_for_status().json()
        return stats

    def forget(self) -> None:
        """Counts begin anew; files and batches stay."""
        httpx.post(f"{self.url}/stats/reset").raise_for_status()


def start_provider(stack: Stack, faults: str = "{}", *options: str) -> Provider:
    """Start it in the simulator's place, with its files and batches, and a log of arrivals, in the stack's folder."""
    folder: Path = stack.folder
    words = ["--faults", faults, "--state", str(folder / "provider"), "--log", str(folder / "traffic.jsonl"), *options]
    stack.start("simulator", ["-m", "services.simulator", *words])
    stack.wait_ready("simulator")
    return Provider(f"http://127.0.0.1:{stack.simulator_port}")
