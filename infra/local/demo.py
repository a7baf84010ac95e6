"""`make demo`: the quickstart from one POST to its verdict, on a stack of its own or on one that runs already."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from touchstone_client import Client
from touchstone_client.view import print_report, watch

from infra.local import supervisor
from infra.local.commands import print_addresses, say
from infra.local.home import CHECKOUT, Home, Running, StackError
from infra.local.lifecycle import choose_ports, start, stop, wait_ready

SPEC = CHECKOUT / "examples" / "quickstart.yaml"
REPORTS = CHECKOUT / "reports"
TRAINERS = 2
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the demo to end."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(number)


def demo(home: Home, console: Console, spec: Path = SPEC, reports: Path = REPORTS) -> int:
    """Run the quickstart; returns the exit status: 0 only if the experiment succeeded."""
    for number in ENDING:
        signal.signal(number, _interrupt)
    home.prepare()
    with _stack(home, console) as running, Client(running.api_url, _token()) as client:
        print_addresses(running, console)
        id = _submit(client, spec, console, alone=running.owner == "demo")
        summary = watch(client, id, console)
        if summary["state"] != "succeeded":
            return 1
        _show(client, id, reports / str(summary["name"]), console)
        if running.owner == "demo":
            say(console, f"Page and Flower were at {running.api_url} and {running.flower_url}; `make up` keeps them.")
    return 0


def _interrupt(number: int, _: object) -> None:
    raise Interrupted(number)


@contextmanager
def _stack(home: Home, console: Console) -> Iterator[Running]:
    """A stack that answers: the one that runs, or one that ends with this block and at the latest with this process."""
    with home.owner_lock.open("w") as owner:
        running = _join(home, owner.fileno())
        if running:
            say(console, "Using the stack that runs already (`make up`); it is left running.")
            yield running
            return
        with home.changing():
            say(console, "Starting every service and worker as its own process …")
            running, process = start(home, "demo", TRAINERS, choose_ports({}))
        try:
            wait_ready(home, running)
            yield running
        finally:
            _stop(home, running, process, console)


def _join(home: Home, owner: int) -> Running | None:
    """The stack of a `make up`, if it runs; otherwise this process becomes the owner of the next one.

    Raises:
        StackError: another demo runs here.
    """
    running = home.running()
    if running and running.owner == "up" and supervisor.is_alive(running):
        wait_ready(home, running)
        return running
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StackError(
            "another `make demo` runs in this folder. Wait for its end, or set TOUCHSTONE_HOME to another folder."
        ) from None
    if running:
        with home.changing():
            stop(home, running)
    return None


def _stop(home: Home, running: Running, process: subprocess.Popen[bytes], console: Console) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    say(console, "Stopping what was started …")
    with home.changing():
        stop(home, running)
    process.wait()


def _submit(client: Client, spec: Path, console: Console, alone: bool) -> str:
    """POST the spec; in a stack of its own the demo takes the place of an earlier one that was broken off."""
    id = str(client.submit(spec)["id"])
    say(console, f"POST {spec.name} → experiment {id}")
    name = yaml.safe_load(spec.read_text())["name"]
    others = [one for one in client.list() if one["state"] == "running" and one["id"] != id] if alone else []
    for other in others:
        if other["name"] == name:
            client.cancel(other["id"])
            say(console, f"An earlier run of it was broken off ({other['id']}): what it left is used.")
        else:
            say(console, f"{other['name']} ({other['id']}) was not finished and goes on beside it.")
    return id


def _show(client: Client, id: str, folder: Path, console: Console) -> None:
    """Print the report and leave it in the checkout."""
    found: dict[str, Any] | None = client.report(id)
    page = client.report_html(id)
    if found is None or page is None:
        raise StackError(f"experiment {id} succeeded, but it has no report")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    (folder / "report.html").write_text(page)
    print_report(found, console)
    say(console, f"Report: {folder / 'report.html'} (and report.json beside it)")


def _token() -> str | None:
    """The first of the tokens that the API asks for, where it asks for any."""
    return next(filter(None, (part.strip() for part in os.environ.get("TOUCHSTONE_API_TOKENS", "").split(","))), None)
