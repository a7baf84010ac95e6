"""How long the page takes: the list and an experiment among 1,000 with 10,000 stages, first paint, and live events.

Run it: `python -m benchmarks.page [--experiments 1000] [--listeners 200]` (about two minutes). Aims: list and
experiment under 200 ms at the server, and again within 10 s of a FLUSHALL; first paint under 1 s with 200 experiments
and 20,000 sample rows; an event at 200 listeners with p95 under 300 ms. The peer of each page, in the same run, is
/healthz: what any answer costs here.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright
from touchstone_client import Client

from benchmarks.filling import fill
from shared.experiments import add_event
from tests.stack import Stack
from tests.unit.specs import spec_with
from tests.waiting import wait_until

LISTED_MS, PAINT_MS, EVENT_MS, BACK_S = 200.0, 1000.0, 300.0, 10.0
ROWS = 5000
"""Prompts that each of four arms is judged on: 20,000 sample rows."""
QUEUES = ("teacher", "critic", "inference", "trainer")
HTML = {"Accept": "text/html"}

PAINT = """() => new Promise(done => {
  const tell = () => performance.getEntriesByName("first-contentful-paint").forEach(one => done(one.startTime));
  new PerformanceObserver(tell).observe({ type: "paint", buffered: true });
  tell();
})"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--listeners", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), lease_seconds=15.0)
        try:
            stack.start_servers()
            id = judged(stack)
            first_paint(stack, id)
            pages(stack, options.experiments, id)
            events(stack, options.listeners)
        finally:
            stack.stop()


def judged(stack: Stack) -> str:
    """An experiment with its report and 20,000 sample rows, made by workers that simulate the world."""
    for name in ("conductor", "api", "analyst"):
        stack.start(name)
    for queue in QUEUES:
        stack.start(queue, ["-m", "tests.stubs.world", queue, "1"], STUB_SECONDS="0.1")
    stack.wait_ready("api", 120)
    prompts = {"source": {"world": {"seed": 0, "count": 6000}}, "train": 200, "dev": 10, "eval": ROWS}
    spec = spec_with(name="judged", prompts=prompts)
    spec["evaluations"]["win-rate"]["temperature"] = [0.7]
    with Client(stack.api_url) as client:
        id = str(client.submit(spec)["id"])
        for _ in client.events(id):
            pass
        assert client.get(id)["state"] == "succeeded"
    for name in (*QUEUES, "analyst"):
        stack.kill(name)
    return id


def first_paint(stack: Stack, id: str) -> None:
    """Milliseconds until a browser shows something, with 200 experiments and 20,000 sample rows."""
    fill(stack.store, stack.redis, 200, 10)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("first paint: not measured, there is no Chromium on PATH")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, path in {
            "list": "/",
            "experiment": f"/experiments/{id}",
            "samples": f"/experiments/{id}/samples?winner=b",
            "lineage": lineage(stack, id),
        }.items():
            times = []
            # The first one does not count: it also starts the browser's processes.
            for _ in range(12):
                # A new profile: nothing is cached.
                with browser.new_context() as context:
                    page = context.new_page()
                    page.goto(stack.api_url + path, wait_until="load")
                    times.append(float(page.evaluate(PAINT)))
            times.pop(0)
            report(f"first paint, {name}", times, PAINT_MS)
        browser.close()


def lineage(stack: Stack, id: str) -> str:
    """The path of an RL step's lineage."""
    with Client(stack.api_url) as client:
        key = next(stage["key"] for stage in client.get(id)["stages"] if stage["kind"] == "rl")
    return f"/experiments/{id}/stages/{key}"


def pages(stack: Stack, count: int, id: str) -> None:
    """Milliseconds of answers among many experiments, before and after a FLUSHALL, and of a new API over it."""
    fill(stack.store, stack.redis, count, 10)
    with httpx.Client(base_url=stack.api_url, headers=HTML, timeout=60) as http:
        paths = {
            "list": "/",
            "list, searched": "/?text=filled-77",
            "experiment": f"/experiments/{id}",
            "lineage": lineage(stack, id),
        }
        wait_until(lambda: "filled" in http.get("/").text, 60, "the list to be filled")
        for name, path in {"/healthz": "/healthz", **paths}.items():
            report(name, [timed(lambda path=path: get(http, path)) for _ in range(50)], LISTED_MS)  # type: ignore[misc]
        stack.redis.flushall()
        for name, path in paths.items():
            back(f"{name}, after FLUSHALL", lambda path=path: timed(lambda: get(http, path)))  # type: ignore[misc]
        stack.redis.flushall()
        stack.restart("api")
        began = time.perf_counter()
        stack.wait_ready("api", 120)
        print(f"a new API over a wiped Redis: ready after {time.perf_counter() - began:.1f} s")
        back("list, of a new API over a wiped Redis", lambda: timed(lambda: get(http, "/")))


def back(what: str, ask: Callable[[], float]) -> None:
    """Print how long it takes until an answer is under the aim again."""
    began, first = time.perf_counter(), 0.0
    while True:
        took = ask()
        first = first or took
        if took < LISTED_MS or time.perf_counter() - began > 60:
            break
    passed = time.perf_counter() - began
    print(f"{what}: first answer {first:.0f} ms, under {LISTED_MS:.0f} ms after {passed:.1f} s: {met(passed, BACK_S)}")


def events(stack: Stack, listeners: int) -> None:
    """Milliseconds from an event's writing to its arrival at each of many listeners."""
    with Client(stack.api_url) as client:
        id = client.submit(spec_with(name="followed", seeds=[0, 1, 2, 3]))["id"]
        wait_until(lambda: client.get(id)["stages"], 60, "the conductor to plan it")
    # It is in no queue's interest now: only what is written here is to arrive.
    stack.kill("conductor")
    delays = asyncio.run(_listen(stack, id, listeners))
    report(f"an event at {listeners} listeners", delays, EVENT_MS)


async def _listen(stack: Stack, id: str, listeners: int, rounds: int = 30) -> list[float]:
    delays: list[float] = []
    open_streams = asyncio.Semaphore(0)
    limits = httpx.Limits(max_connections=listeners + 10)
    async with httpx.AsyncClient(base_url=stack.api_url, timeout=120, limits=limits) as http:

        async def listen() -> None:
            heard = 0
            async with http.stream("GET", f"/v1/experiments/{id}/events") as answer:
                async for line in answer.aiter_lines():
                    if line == "event: snapshot":
                        open_streams.release()
                    if line.startswith("data: ") and '"sent_at"' in line:
                        sent = float(line.rpartition('"sent_at": ')[2].rstrip("} \n"))
                        delays.append((time.time() - sent) * 1000)
                        heard += 1
                        if heard == rounds:
                            return

        tasks = [asyncio.create_task(listen()) for _ in range(listeners)]
        for _ in tasks:
            await asyncio.wait_for(open_streams.acquire(), 120)
        summary = {"stages": [], "counts": {}, "state": "running", "id": id}
        for _ in range(rounds):
            add_event(stack.redis, id, "update", {**summary, "sent_at": time.time()})
            await asyncio.sleep(0.25)
        await asyncio.wait_for(asyncio.gather(*tasks), 120)
    return delays


def get(http: httpx.Client, path: str) -> None:
    http.get(path).raise_for_status()


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def met(value: float, aim: float) -> str:
    return "met" if value < aim else "MISSED"


def report(what: str, times: list[float], aim: float) -> None:
    """Print one line; the aim is the 95th percentile's."""
    p95 = statistics.quantiles(times, n=20)[-1]
    p50 = statistics.median(times)
    print(f"{what}: n {len(times)}, p50 {p50:.0f} ms, p95 {p95:.0f} ms; aim {aim:.0f} ms: {met(p95, aim)}", flush=True)


if __name__ == "__main__":
    main()
