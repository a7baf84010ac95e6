"""`up`, `down`, `status` and `logs` of the embedded stack."""

from __future__ import annotations

import os
import subprocess

import psutil
from rich.console import Console
from rich.table import Table

from infra.local import supervisor
from infra.local.configuration import DRAIN_SECONDS
from infra.local.home import Home, Running, StackError
from infra.local.lifecycle import choose_ports, scale, start, stop, wait_ready
from infra.local.roles import PUBLIC_PORTS
from infra.local.supervisor import AWAY, State, Supervisor

STATUS_STOPPED = 3


def up(home: Home, trainers: int | None, console: Console) -> None:
    """Start the stack in the background, or bring the number of trainers of a running one to `trainers`."""
    home.prepare()
    with home.changing():
        running = home.running()
        if running and supervisor.is_alive(running):
            _again(home, running, trainers, console)
            return
        if running:
            stop(home, running)
        ports = choose_ports({name: public_port(name) for name in PUBLIC_PORTS})
        running, _ = start(home, "up", trainers or 1, ports)
        try:
            wait_ready(home, running)
        except BaseException:
            stop(home, running)
            raise
    say(console, f"Touchstone is up, with {_trainers(running)}.")
    print_addresses(running, console)


def _again(home: Home, running: Running, trainers: int | None, console: Console) -> None:
    if running.owner != "up":
        raise StackError(
            "a `make demo` runs in this folder. Wait for its end, or set TOUCHSTONE_HOME to another folder."
        )
    if trainers and trainers != running.trainers:
        running = scale(home, running, trainers)
        wait_ready(home, running)
        say(console, f"Touchstone was up already; it has {_trainers(running)} now.")
    else:
        say(console, f"Touchstone is up already, with {_trainers(running)}.")
    print_addresses(running, console)


def say(console: Console, text: str) -> None:
    """Print a line as it is: not coloured, and not broken where it is piped into something."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def public_port(name: str) -> int:
    """A port that a person chose, or its default.

    Raises:
        StackError: the variable holds no port.
    """
    variable, default = PUBLIC_PORTS[name]
    given = os.environ.get(variable) or str(default)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise StackError(f"{variable}={given} is no port. Set it to a number from 1 to 65535.")
    return int(given)


def print_addresses(running: Running, console: Console) -> None:
    """Where a person finds the API with its page, and Flower."""
    flower = f"{running.flower_url}  (from this machine alone, so it asks for no password)"
    say(console, f"  API and page  {running.api_url}")
    say(console, f"  Flower        {flower}")


def down(home: Home, console: Console) -> None:
    """Stop the stack; its data stay."""
    home.prepare()
    with home.changing():
        running = home.running()
        if running is None:
            say(console, "Touchstone is not running.")
            return
        if running.owner == "demo" and home.is_owned():
            raise StackError("what runs belongs to a `make demo`. Press Ctrl-C there, or wait for its end.")
        say(console, f"Stopping. Paid answers that are still in flight are waited for, {DRAIN_SECONDS} s at most.")
        stop(home, running)
    say(console, f"Touchstone is down. Its data stay in {home.folder}.")


def status(home: Home, console: Console) -> int:
    """Print every process of the stack; returns the exit status: 0 where it runs, 3 where it does not."""
    running = home.running()
    if running is None:
        say(console, "Touchstone is not running. `make up` starts it.")
        return STATUS_STOPPED
    if not supervisor.is_alive(running):
        left = len(supervisor.marked(running.mark))
        say(console, f"Touchstone's supervisor is gone; {left} of its processes are left. `make down` ends them.")
        return STATUS_STOPPED
    try:
        states = Supervisor(running, home.secrets()).states()
    except AWAY as error:
        raise StackError(f"the supervisor does not answer ({error}). `make down` ends it.") from None
    console.print(_table(states))
    print_addresses(running, console)
    return 0


def _table(states: list[State]) -> Table:
    table = Table("process", "state", "pid", "up", "memory", box=None)
    total = 0
    for state in states:
        memory = _memory(state.pid)
        total += memory
        table.add_row(
            state.name,
            state.state.lower() + (f": {state.note}" if state.note else ""),
            str(state.pid or ""),
            f"{state.seconds} s" if state.pid else "",
            f"{memory / 2**20:.0f} MB" if memory else "",
        )
    table.add_row("together", "", "", "", f"{total / 2**20:.0f} MB")
    return table


def _memory(pid: int) -> int:
    """Bytes of a process and its children; 0 where there is none.

    A page that several processes share counts in parts, where the system tells: so the sum is what the stack takes.
    """
    try:
        process = psutil.Process(pid)
        parts = [part.memory_full_info() for part in (process, *process.children(recursive=True))] if pid else []
    except psutil.Error:
        return 0
    return sum(int(getattr(part, "pss", part.rss)) for part in parts)


def logs(home: Home, name: str | None, follow: bool, lines: int) -> int:
    """Print the end of one log, or of all; returns the exit status of `tail`."""
    known = sorted(path.stem for path in home.logs.glob("*.log"))
    if not known:
        raise StackError(f"there are no logs in {home.logs}. `make up` starts the stack.")
    if name is not None and name not in known:
        raise StackError(f"there is no log {name!r}. There are {', '.join(known)}.")
    files = [str(home.log(one)) for one in ([name] if name else known)]
    try:
        return subprocess.run(["tail", "-n", str(lines), *(["-F"] if follow else []), *files], check=False).returncode
    except KeyboardInterrupt:
        return 130


def _trainers(running: Running) -> str:
    return f"{running.trainers} trainer{'' if running.trainers == 1 else 's'}"
