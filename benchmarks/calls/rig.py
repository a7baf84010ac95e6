"""A real stack with real teacher workers, and a stand-in that writes down each arrival."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from shared.artifacts import CommitRef
from shared.llm.providers.base import ModelSpec
from shared.llm.providers.simulated import SimulatedModel
from shared.units import Shard, Unit
from shared.world.models import TeacherSettings
from shared.world.names import encode
from tests.integration.llm.units import run, send, unit
from tests.provider import Provider
from tests.stack import ROOT, Stack
from tests.waiting import wait_until

SHARD_ROWS = 500
ACCURACY = 0.5
MODEL = encode(TeacherSettings(accuracy=ACCURACY))
TEACHER = SimulatedModel(provider="simulated", accuracy=ACCURACY)


class Rig:
    """The servers, the stand-in in the simulator's place, and workers that take `at_once` requests each at a time."""

    def __init__(self, folder: Path, at_once: int, simulator: Sequence[str], **settings: object) -> None:
        self.log = folder / "traffic.jsonl"
        self.stack = Stack(folder, request_concurrency=at_once, log_level="warning", **settings)
        # By name, as real endpoints are: the clients' parsing of an address in numbers takes a tenth of their time.
        self.base_url = f"http://localhost:{self.stack.simulator_port}/v1"
        self.stack.environment["TOUCHSTONE_SIMULATOR_URL"] = self.base_url
        self.stack.start_servers()
        self.stack.start("simulator", ["-m", "services.simulator", "--log", str(self.log), *simulator])
        self.stack.wait_ready("simulator")
        self.provider = Provider(f"http://127.0.0.1:{self.stack.simulator_port}")

    def worker(self, name: str, data_dir: Path | None = None) -> None:
        """Start a teacher; with a data folder of its own it stands for another host."""
        own = {} if data_dir is None else {"TOUCHSTONE_DATA_DIR": str(data_dir)}
        self.stack.start(name, None, ROOT, **own)
        self.stack.wait_ready(name, 120)

    def prompts(self, count: int) -> CommitRef:
        """A committed stage of so many train prompts; made by a worker."""
        sizes = {"train": count, "dev": 1, "eval": 1}
        return run(self.stack, unit("prompts", {**sizes, "source": {"world": {"seed": 0, "count": count + 50}}}), 300)

    def teach(self, prompts: CommitRef, rows: int, tag: str, model: ModelSpec = TEACHER) -> list[Unit]:
        """The shards of a stage that asks for all of them; stages of different tags are different ones."""
        params = {"model": model.identity(), "split": "train", "start": 0.0, "stop": 1.0, "tag": tag}
        whole = unit("teach", params, {"prompts": prompts}, options={"name": "teacher", **model.options()})
        shards = [Shard(start=at, stop=min(at + SHARD_ROWS, rows)) for at in range(0, rows, SHARD_ROWS)]
        return [whole.model_copy(update={"shard": shard}) for shard in shards]

    def send(self, units: Sequence[Unit]) -> float:
        """Queue them all; returns when."""
        started = time.time()
        for one in units:
            send(self.stack, one)
        return started

    def uncommitted(self, units: Sequence[Unit]) -> list[Unit]:
        there = {info.name for info in self.stack.store.list("commits/")}
        done = {name.rpartition("/")[2].partition(".")[0] for name in there}
        return [one for one in units if one.commit_key not in done]

    def wait(self, units: Sequence[Unit], timeout: float = 3600) -> float:
        """Wait until all are committed; returns when the last one was."""
        wait_until(lambda: not self.uncommitted(units), timeout, "the units to commit", every=0.05)
        return time.time()

    def traffic(self) -> list[dict[str, Any]]:
        """The stand-in's whole lines so far."""
        lines = self.log.read_text().split("\n")[:-1] if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far of each started process that lives, with its children."""
        return {name: cpu_seconds(one.pid) for name, one in self.stack.processes.items() if self.stack.alive(name)}

    def memory(self, name: str) -> float:
        """Resident MB."""
        return float(psutil.Process(self.stack.processes[name].pid).memory_info().rss / 2**20)


@contextmanager
def rig(at_once: int, *simulator: str, **settings: object) -> Iterator[Rig]:
    """A rig in a folder of its own, ended with the block."""
    with TemporaryDirectory(prefix="calls-") as folder:
        made: Rig | None = None
        try:
            made = Rig(Path(folder), at_once, simulator, **settings)
            yield made
        finally:
            if made is not None:
                made.stack.stop()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its living children, and those that it has waited for."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass(frozen=True)
class Spent:
    """CPU seconds of the worker processes, and of the servers and the stand-in."""

    workers: float
    store: float
    broker: float
    stand_in: float

    @classmethod
    def between(cls, before: Mapping[str, float], after: Mapping[str, float]) -> Spent:
        used = {name: after[name] - before.get(name, 0.0) for name in after}
        workers = sum(seconds for name, seconds in used.items() if name.startswith("teacher"))
        return cls(workers, used.get("s3", 0.0), used.get("valkey", 0.0), used.get("simulator", 0.0))

    def __str__(self) -> str:
        return (
            f"CPU: workers {self.workers:.2f} s (store {self.store:.2f}, broker {self.broker:.2f}, "
            f"stand-in {self.stand_in:.2f})"
        )


def load() -> str:
    """How busy the machine is, for the reader of a figure."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
