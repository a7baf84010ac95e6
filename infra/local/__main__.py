"""`python -m infra.local`: the embedded stack's commands; the Makefile's targets call them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from rich.console import Console
from touchstone_client.errors import TouchstoneClientError

from infra.local import commands
from infra.local.demo import Interrupted, demo
from infra.local.home import Home, StackError
from infra.local.roles import without_proxy


def main() -> int:
    """Run one command; returns its exit status."""
    options = _parser().parse_args()
    return run(lambda: _command(options, Home.from_environment(), Console()))


def run(command: Callable[[], int]) -> int:
    """Run a command and say in one line what went wrong; returns the exit status."""
    os.environ.update(without_proxy())
    try:
        return command()
    except (StackError, TouchstoneClientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print("interrupted: what is committed is kept, and used by the next run", file=sys.stderr)
        return interrupted.status
    except KeyboardInterrupt:
        return 130


def _command(options: argparse.Namespace, home: Home, console: Console) -> int:
    match options.command:
        case "up":
            commands.up(home, options.trainers, console)
        case "down":
            commands.down(home, console)
        case "status":
            return commands.status(home, console)
        case "logs":
            return commands.logs(home, options.name, options.follow, options.lines)
        case "demo":
            return demo(home, console)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description="The whole of Touchstone on one machine."
    )
    verbs = parser.add_subparsers(dest="command", required=True)
    up = verbs.add_parser("up", help="start everything in the background")
    up.add_argument("--trainers", type=_count, help="how many trainer workers (1)")
    verbs.add_parser("down", help="stop everything")
    verbs.add_parser("status", help="what runs, and where")
    logs = verbs.add_parser("logs", help="the end of the logs")
    logs.add_argument("name", nargs="?", help="one process; all without it")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as they grow")
    logs.add_argument("-n", "--lines", type=_count, default=20, help="how many lines of each (20)")
    verbs.add_parser("demo", help="run examples/quickstart.yaml and show its verdict")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
