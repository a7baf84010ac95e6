"""What Touchstone makes of a paid endpoint, in figures: speed, CPU, limits, kills, budgets, memory.

    python -m benchmarks.calls asked [--peers FOLDER]    cases 1 and 2: 2,000 requests of 500 ms, 200 at once
    python -m benchmarks.calls limits                    case 3: 3,000 RPM / 600,000 TPM by 4 replicas for 5 minutes
    python -m benchmarks.calls kills                     case 4: SIGKILL of a replica at half time, 20 times
    python -m benchmarks.calls budget                    case 5: half the job's cost, FLUSHALL each second
    python -m benchmarks.calls many                      case 6: 100,000 requests

The provider is the simulator with its faults, on this machine; all else is real: Valkey, the S3 server, Celery, the
teacher worker, the conductor where it has a part. With `--peers` the other clients (AsyncOpenAI with a semaphore,
bespokelabs-curator, distilabel) do case 1 too; they are installed into FOLDER, each in an environment of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.calls import budget, clients, kills, limits, throughput
from benchmarks.calls.rig import load

CPU_RATIO = 1.5


def asked(options: argparse.Namespace) -> None:
    first = throughput.asked(options.requests, options.at_once, options.replicas)
    if options.peers is None:
        return
    ours = first.spent.workers
    for name, run in clients.compare(options.peers, options.only, options.requests, options.at_once).items():
        if name == "plain":
            ratio = ours / run.cpu
            print(f"CPU: {ratio:.2f} of the plain client's (at most {CPU_RATIO}: {_met(ratio <= CPU_RATIO)})")
            continue
        ahead = first.wall < run.wall and ours < run.cpu
        print(f"{name}: {run.wall / first.wall:.2f} times as long, {run.cpu / ours:.2f} times the CPU ({_met(ahead)})")


def _met(reached: bool) -> str:
    return "met" if reached else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.calls", description=__doc__.splitlines()[0])
    cases = parser.add_subparsers(required=True)

    def case(name: str, requests: int, **more: int) -> argparse.ArgumentParser:
        made = cases.add_parser(name)
        made.add_argument("--requests", type=int, default=requests)
        made.add_argument("--at-once", type=int, default=200, help="requests in flight, all replicas together")
        for option, value in more.items():
            made.add_argument(f"--{option}", type=int, default=value)
        return made

    one = case("asked", 2000, replicas=1)
    one.add_argument("--peers", type=Path, metavar="FOLDER", help="compare with the other clients, installed here")
    one.add_argument("--only", nargs="*", default=[client.name for client in clients.CLIENTS], help="of the peers")
    one.set_defaults(run=asked)
    two = case("limits", 0, replicas=4, minutes=5)
    two.set_defaults(run=lambda given: limits.kept(given.replicas, given.minutes, given.at_once))
    three = case("kills", 2000, replicas=2, times=20)
    three.set_defaults(run=lambda given: kills.killed(given.requests, given.at_once, given.replicas, given.times))
    four = case("budget", 2000, replicas=4)
    four.set_defaults(run=lambda given: budget.kept(given.requests, given.at_once, given.replicas))
    five = case("many", 100_000)
    five.add_argument("--few", type=int, default=2000, help="requests of the run whose rate it is held against")
    five.set_defaults(run=lambda given: throughput.many(given.requests, given.at_once, given.few))
    options = parser.parse_args()
    print(load())
    options.run(options)


if __name__ == "__main__":
    main()
