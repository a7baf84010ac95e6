"""Every process of the real stack is killed in turn, in the middle of its work, and the experiment finishes by itself.

Real teachers and critics (simulated models over HTTP), real training, real engine. A run that nobody disturbs comes
first, so that artifacts can be compared; the simulator's log tells whether an answered request was asked again.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from touchstone_client import Client

from shared import experiments
from shared.artifacts import Manifest
from tests.stack import Stack
from tests.waiting import wait_until

SERVICES = ("simulator", "api", "conductor", "teacher", "critic", "inference", "analyst", "trainer")
FINISH = 420
DETERMINISTIC = {"prompts", "teach", "pretrain", "sft"}
WRITTEN = 0.25
"""Seconds by which an answer must have been handed to the socket before a kill to count as answered."""
LATE = 1.0
"""Seconds after which a busy simulator has seen what was sent to it: its sender may be dead by then."""
CONCURRENCY = 8
"""Requests in flight a worker. With dozens, answers that came together waited for their turn in the worker's one thread
for up to a quarter of a second on two busy cores; with eight, for a fortieth."""

SPEC = """
name: kill-everything
prompts: {source: {world: {seed: 3, count: 2000}}, train: 600, dev: 10, eval: 60}
policies: {toy: {base: {pretrain: {steps: 150, mixed_steps: 30}}, max_tokens: 16}}
models:
  weak: {provider: simulated, accuracy: 0.5}
  strong: {provider: simulated, accuracy: 0.95}
  critic: {provider: simulated, error_rate: 0.1}
preset: teacher_or_critic
weak: weak
strong: strong
critic: critic
fraction: 0.3
defaults:
  sft: {per_device_train_batch_size: 32, learning_rate: 1.0e-3, num_train_epochs: 2}
  rl: {per_device_train_batch_size: 32, learning_rate: 3.0e-4, num_train_epochs: 2}
evaluations: {win-rate: {protocol: pairwise, judge: critic, reference: weak, temperature: 0.7}}
primary: {evaluation: "win-rate@0.7"}
"""


def start(folder: Path) -> Stack:
    """A whole stack of real services, the simulator with a log and a little latency."""
    stack = Stack(folder, checkpoint_seconds=2.0, request_concurrency=CONCURRENCY)
    stack.start_servers()
    for name in SERVICES:
        extra = ["--log", str(folder / "asked.jsonl"), "--latency-ms", "20"] if name == "simulator" else []
        module = "workers.trainer" if name == "trainer" else f"services.{name}"
        stack.start(name, ["-m", module, *extra])
    stack.wait_ready("api", 60)
    return stack


def submit(stack: Stack, folder: Path) -> str:
    path = folder / "spec.yaml"
    path.write_text(SPEC)
    with Client(stack.api_url) as client:
        return str(client.submit(path)["id"])


def stages(stack: Stack, id: str) -> list[dict[str, Any]]:
    found = experiments.read_summary(stack.redis, stack.store, id)
    return found["stages"] if found else []


def finish(stack: Stack, id: str) -> None:
    def state() -> str:
        found = experiments.read_summary(stack.redis, stack.store, id)
        return str(found["state"]) if found else "running"

    wait_until(lambda: state() != "running", FINISH, "the experiment to finish", every=0.2)
    assert state() == "succeeded", [(row["kind"], row["error"]) for row in stages(stack, id) if row["error"]]


def artifacts(stack: Stack) -> dict[str, str]:
    """Of each deterministic stage, its key and its weights' or rows' hash."""
    found: dict[str, str] = {}
    for info in stack.store.list("commits/"):
        manifest = Manifest.from_json(stack.store.get(info.name))
        if manifest.kind in DETERMINISTIC:
            kept = {
                name: ref.sha256 for name, ref in manifest.files.items() if name.endswith(("safetensors", "parquet"))
            }
            kept.pop("loss.parquet", None)
            found.setdefault(manifest.key, json.dumps(kept, sort_keys=True))
    return found


def busy(stack: Stack, id: str, *kinds: str) -> Callable[[], bool]:
    """Whether a stage of one of these kinds runs and has begun to get somewhere."""
    return lambda: any(
        row["kind"] in kinds and row["state"] == "running" and row["progress"]["done"] > 0 for row in stages(stack, id)
    )


def children(stack: Stack, name: str) -> list[psutil.Process]:
    return psutil.Process(stack.processes[name].pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_each_process_is_killed_in_its_work_and_nothing_is_lost_or_paid_for_twice(tmp_path: Path) -> None:
    calm = start(tmp_path / "calm")
    try:
        finish(calm, submit(calm, tmp_path))
        expected = artifacts(calm)
    finally:
        calm.stop()
    stack = start(tmp_path / "rough")
    try:
        id = submit(stack, tmp_path)
        kills = disturb(stack, id)
        finish(stack, id)
        assert artifacts(stack) == expected
        assert asked_again(tmp_path / "rough" / "asked.jsonl", kills) == []
    finally:
        stack.stop()


def disturb(stack: Stack, id: str) -> list[float]:
    """Kill one process after another, each when it is at work; returns the times (seconds since 1970)."""
    kills: list[float] = []

    def kill(name: str, when: Callable[[], bool], child: bool = False) -> None:
        wait_until(when, FINISH, f"{name} to be at work")
        kills.append(time.time())
        if child:
            for process in children(stack, name):
                process.kill()
            return
        stack.kill(name)
        {"valkey": stack.start_valkey, "s3": stack.start_s3}.get(name, lambda: stack.start(name))()

    kill("teacher", busy(stack, id, "teach"))
    kill("trainer", busy(stack, id, "pretrain"))
    kill("conductor", busy(stack, id, "pretrain"))
    kill("trainer", busy(stack, id, "sft"), child=True)
    kill("api", lambda: True)
    kill("inference", busy(stack, id, "sample"))
    kill("inference", busy(stack, id, "sample"), child=True)
    kill("critic", busy(stack, id, "label", "judge"))
    kill("valkey", busy(stack, id, "rl", "sample", "sft"))
    kill("s3", busy(stack, id, "rl", "sample", "judge"))
    stack.redis.flushall()
    wait_until(lambda: httpx.get(f"{stack.api_url}/healthz").is_success, 30, "the API to be back")
    return kills


def asked_again(log: Path, kills: list[float]) -> list[str]:
    """Requests that were asked again although they were answered well before the kill that came between."""
    arrivals: dict[str, list[dict[str, Any]]] = {}
    for line in log.read_text().splitlines():
        row = json.loads(line)
        arrivals.setdefault(row["hash"], []).append(row)
    wrong = []
    for name, rows in arrivals.items():
        rows.sort(key=lambda row: row["arrived"])
        for first, second in itertools.pairwise(rows):
            between = [at for at in kills if first["arrived"] - LATE <= at <= second["arrived"]]
            if first["answered"] is not None and not any(first["answered"] > at - WRITTEN for at in between):
                wrong.append(name)
    return wrong
