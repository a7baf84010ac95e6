"""Case 4: what the kill of a replica at half time costs."""

from __future__ import annotations

import time
from collections import Counter

from benchmarks.calls.rig import Rig, load, rig
from benchmarks.calls.throughput import LATENCY
from shared.leases import lease_name
from shared.units import Unit
from tests.integration.llm.traffic import asked_twice
from tests.integration.llm.units import artifact, committed
from tests.waiting import wait_until


def killed(count: int, at_once: int, replicas: int, times: int) -> None:
    """Prints, for each kill, the answers that were lost and the requests that were sent again; and the sums."""
    lost = paid_twice = again = 0
    for number in range(1, times + 1):
        with rig(at_once // replicas, "--latency-ms", str(LATENCY * 1000)) as made:
            rows, twice, more, distinct = _once(made, count, replicas)
        missing = count - min(rows, distinct)
        print(
            f"  kill {number}: {missing} lost, {len(twice)} answered requests sent again, "
            f"{more} of those in flight sent again; {load()}"
        )
        lost, paid_twice, again = lost + missing, paid_twice + len(twice), again + more
    met = "met" if lost == paid_twice == 0 else "MISSED"
    print(
        f"{times} kills: {lost} lost, {paid_twice} answered requests sent again ({met}); {again} in flight sent again"
    )


def _once(made: Rig, count: int, replicas: int) -> tuple[int, list[str], int, int]:
    """Rows that were committed, answered requests that were sent again, all sent again, distinct requests."""
    names = [f"teacher-{number}" for number in range(1, replicas + 1)]
    for name in names:
        made.worker(name)
    units = made.teach(made.prompts(count), count, "kill")
    made.send(units)
    wait_until(lambda: len(made.traffic()) >= count // 2, 300, "half of the requests")
    at = time.time()
    made.stack.kill(names[0])
    made.worker(names[0])
    _finish(made, units)
    refs = [ref for one in units if (ref := committed(made.stack, one)) is not None]
    rows = sum(artifact(made.stack, ref).rows().num_rows for ref in refs)
    counts = Counter(line["hash"] for line in made.traffic())
    return rows, asked_twice(made.log, at), counts.total() - len(counts), len(counts)


def _finish(made: Rig, units: list[Unit]) -> None:
    """Queue again what the killed one held, once its leases have lapsed, as the conductor does."""
    while left := made.uncommitted(units):
        names = [lease_name(one.commit_key) for one in left]
        wait_until(
            lambda names=names: len(made.uncommitted(units)) < len(names) or not made.stack.redis.exists(*names),  # type: ignore[misc]
            120,
            "a commit, or dead leases",
            every=0.1,
        )
        if not made.stack.redis.exists(*names):
            made.send(made.uncommitted(units))
            time.sleep(1)
