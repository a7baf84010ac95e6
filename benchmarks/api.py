"""How long a POST takes: the quickstart's spec over HTTP into a real store, p50 and p95 of single requests.

Run it: `python -m benchmarks.api [--requests 100]` (seconds). The peer, in the same run, is what a POST cannot do
without: the bare writes of the same objects to the same S3 server, from the same machine. The aim is p95 under 50 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from shared.experiments import PREFIX
from tests.stack import ROOT, Stack

AIM_MS = 50.0


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--spec", type=Path, default=ROOT / "examples" / "quickstart.yaml")
    options = parser.parse_args()
    body = options.spec.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            stack.start_servers()
            stack.start("conductor")
            stack.start("api")
            stack.wait_ready("api")
            # A conductor that plans a hundred experiments beside it would be measured too.
            stack.kill("conductor")
            posts, writes = measure(stack, body, options.requests)
        finally:
            stack.stop()
    report("POST /v1/experiments", posts)
    report("its bare writes", writes)
    ratio = statistics.median(posts) / statistics.median(writes)
    met = "met" if p95(posts) < AIM_MS else "MISSED"
    print(f"median ratio {ratio:.1f}; p95 {p95(posts):.1f} ms, aim {AIM_MS:.0f} ms: {met}")


def measure(stack: Stack, body: bytes, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of `count` POSTs, and of writing the same objects, in turns; after ten that do not count."""
    posts, writes = [], []
    with httpx.Client(base_url=stack.api_url) as http:

        def post() -> None:
            http.post("/v1/experiments", content=body).raise_for_status()

        for _ in range(10):
            post()
        id = http.get("/v1/experiments").json()["items"][0]["id"]
        objects = {info.name: stack.store.get(info.name) for info in stack.store.list(f"{PREFIX}{id}/")}
        store = stack.store

        def write() -> None:
            for name, data in objects.items():
                store.put(name.replace(PREFIX, "bare/"), data)

        for _ in range(count):
            posts.append(timed(post))
            writes.append(timed(write))
    return posts, writes


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def report(what: str, times: list[float]) -> None:
    """Print one line."""
    p50 = statistics.median(times)
    print(f"{what}: n {len(times)}, p50 {p50:.1f} ms, p95 {p95(times):.1f} ms, max {max(times):.1f} ms")


if __name__ == "__main__":
    main()
