"""Cases 1, 2 and 6: how fast, at what cost of CPU, and in how much memory, through the real queue and ledger."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.calls.rig import Rig, Spent, load, rig
from shared.units import Unit
from tests.waiting import wait_until

LATENCY = 0.5
WALL = 1.10
KNOWN_SECONDS = 1.0
RATE = 0.9


def ideal(count: int, at_once: int) -> float:
    """Seconds that perfect clients take."""
    return math.ceil(count / at_once) * LATENCY


@dataclass(frozen=True)
class First:
    """Case 1: seconds since the first request arrived, since its answer was written, and what was spent."""

    wall: float
    after_first: float
    spent: Spent


def asked(count: int, at_once: int, replicas: int) -> First:
    """Cases 1 and 2: ask, ask the same again, and again from a host that has no index. Prints; returns case 1."""
    with rig(math.ceil(at_once / replicas), "--latency-ms", str(LATENCY * 1000)) as made:
        for number in range(1, replicas + 1):
            made.worker(f"teacher-{number}")
        prompts = made.prompts(count)
        first = _first(made, made.teach(prompts, count, "first"), count)
        aim = WALL * ideal(count, at_once)
        met = "met" if first.after_first <= aim else "MISSED"
        print(
            f"touchstone: {count} requests in {first.after_first:.2f} s after the first, which goes alone (at most "
            f"{aim:.2f}: {met}; {first.wall:.2f} s with it); {first.spent}; {load()}"
        )
        _known(made, made.teach(prompts, count, "again"), count, "the same again, all in the ledger")
        for number in range(1, replicas + 1):
            made.stack.kill(f"teacher-{number}")
        with TemporaryDirectory() as other:
            made.worker("teacher-other", Path(other))
            _known(made, made.teach(prompts, count, "other"), count, "and by a worker of another host")
        assert len(made.traffic()) == count, "a request was sent again"
    return first


def _first(made: Rig, units: list[Unit], count: int) -> First:
    before = made.cpu()
    made.send(units)
    ended = made.wait(units)
    spent = Spent.between(before, made.cpu())
    traffic = made.traffic()
    assert len(traffic) == count, f"{len(traffic)} requests instead of {count}"
    arrived, answered = (min(line[name] for line in traffic) for name in ("arrived", "answered"))
    return First(ended - arrived, ended - answered, spent)


def _known(made: Rig, units: list[Unit], count: int, what: str) -> None:
    before = made.cpu()
    wall = -made.send(units) + made.wait(units)
    met = "met" if wall < KNOWN_SECONDS else "MISSED"
    print(f"  {what}: {wall:.2f} s (under {KNOWN_SECONDS:.0f}: {met}); {Spent.between(before, made.cpu())}")


def many(count: int, at_once: int, few: int) -> None:
    """Case 6: the worker's memory and its rate, tenth by tenth, beside the rate at which it asks `few` requests."""
    with rig(at_once, "--latency-ms", str(LATENCY * 1000)) as made:
        made.worker("teacher")
        base = few / _first(made, made.teach(made.prompts(few), few, "few"), few).wall
    with rig(at_once, "--latency-ms", str(LATENCY * 1000)) as made:
        made.worker("teacher")
        units = made.teach(made.prompts(count), count, "many")
        start, before = made.memory("teacher"), made.cpu()
        made.send(units)
        memory: list[float] = []
        for tenth in range(1, 11):
            done = len(units) * tenth // 10
            wait_until(lambda done=done: len(units) - len(made.uncommitted(units)) >= done, 7200, "a tenth", every=0.5)  # type: ignore[misc]
            memory.append(made.memory("teacher"))
            print(f"  {tenth * 10:3} %: {memory[-1]:.0f} MB")
        ended, spent = time.time(), Spent.between(before, made.cpu())
        traffic = made.traffic()
        rate = count / (ended - min(line["arrived"] for line in traffic))
        met = "met" if rate >= RATE * base else "MISSED"
        print(
            f"{count} requests: {rate:.0f} a second, {rate / base:.2f} of the {base:.0f} with {few} (at least {RATE}: "
            f"{met}); {spent}; {spent.workers / count * 1000:.2f} ms of worker CPU a request; memory {start:.0f} MB "
            f"before, {memory[0]:.0f} MB at a tenth, {memory[-1]:.0f} MB at the end; {load()}"
        )
