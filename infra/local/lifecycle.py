"""Starting, scaling and stopping the embedded stack."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from itertools import groupby
from typing import IO

import httpx

from infra.local import supervisor
from infra.local.configuration import ASKING, DRAIN_SECONDS, configuration
from infra.local.home import Home, Running, StackError
from infra.local.ports import free_port, is_free
from infra.local.roles import INTERNAL_PORTS, LIFELINE, PUBLIC_PORTS, SERVERS, environment, processes
from infra.local.supervisor import AWAY, Supervisor

READY_SECONDS = 60.0
STOP_SECONDS = 25.0
POLL_SECONDS = 0.1
LAST_LINES = 15


def start(home: Home, owner: str, trainers: int, ports: dict[str, int]) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a supervisor over everything and return at once; the caller holds `home.changing()`.

    An `owner` of "demo" keeps `home.owner_lock`: the stack ends when that is let go.
    """
    mark = secrets.token_hex(8)
    own = home.secrets()
    text = configuration(processes(trainers, ports, owner == "demo"), ports["supervisor"], own.supervisor_password)
    home.write_configuration(text)
    with _log(home) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", "run/supervisord.conf"],
            cwd=home.folder,
            env={**os.environ, **environment(home, own, ports, mark)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Out of the terminal's reach: Ctrl-C is for the command that started it, which stops it in good order.
            start_new_session=True,
        )
    running = Running(process.pid, mark, owner, trainers, ports)
    home.set_running(running)
    return running, process


def choose_ports(public: dict[str, int]) -> dict[str, int]:
    """Ports for everything: the public ones as given, else free ones.

    Raises:
        StackError: a given port is taken; names the variable that changes it.
    """
    for name, port in public.items():
        if not is_free(port):
            raise StackError(f"port {port} is taken. Set {PUBLIC_PORTS[name][0]} to a free one.")
    ports = dict(public)
    for name in (*PUBLIC_PORTS, *INTERNAL_PORTS):
        if name not in ports:
            ports[name] = free_port(frozenset(ports.values()))
    return ports


def wait_ready(home: Home, running: Running, seconds: float = READY_SECONDS) -> None:
    """Return when /readyz is 200 and every process runs.

    Raises:
        StackError: it took too long, or the supervisor ended; with the last lines of what is at fault.
    """
    deadline = time.monotonic() + seconds
    control = Supervisor(running, home.secrets())
    while True:
        why = _not_ready(running, control)
        if why is None:
            return
        if not supervisor.is_alive(running):
            raise StackError(f"the supervisor ended at its start\n{tail(home, 'supervisord')}")
        if time.monotonic() > deadline:
            raise StackError(f"not ready after {seconds:.0f} s: {why}\n{_culprits(home, control)}".rstrip())
        time.sleep(POLL_SECONDS)


def _not_ready(running: Running, control: Supervisor) -> str | None:
    try:
        waiting = [state.name for state in control.states() if state.state != "RUNNING"]
        if waiting:
            return f"waiting for {', '.join(waiting)}"
        answer = httpx.get(f"{running.api_url}/readyz", timeout=5)
    except AWAY as error:
        return f"the supervisor does not answer ({error})"
    except httpx.HTTPError as error:
        return f"the API does not answer ({error})"
    return None if answer.status_code == 200 else str(answer.json().get("detail", answer.text))


def _culprits(home: Home, control: Supervisor) -> str:
    """The last lines of every process that does not run; of the API's and the conductor's where all do."""
    try:
        names = [state.name for state in control.states() if state.state != "RUNNING"] or ["api", "conductor"]
    except AWAY:
        names = ["supervisord"]
    return "\n".join(tail(home, name) for name in names)


def tail(home: Home, name: str, lines: int = LAST_LINES) -> str:
    """The last lines of a process's log, under a heading; one that repeats itself at each start is shown once."""
    log = home.log(name)
    written = log.read_text(errors="replace").splitlines() if log.exists() else []
    found = [line for line, _ in groupby(written)][-lines:]
    return "\n".join((f"--- {log}", *(found or ["(empty)"])))


def scale(home: Home, running: Running, trainers: int) -> Running:
    """Change the number of trainers of a stack that runs; those that go finish nothing, and lose nothing either."""
    own = home.secrets()
    wanted = processes(trainers, running.ports, running.owner == "demo")
    home.write_configuration(configuration(wanted, running.ports["supervisor"], own.supervisor_password))
    control = Supervisor(running, own)
    added, removed = control.reread()
    for name in removed:
        control.remove(name)
    for name in added:
        control.add(name)
    after = Running(running.supervisor_pid, running.mark, running.owner, trainers, running.ports)
    home.set_running(after)
    return after


def stop(home: Home, running: Running) -> None:
    """Stop everything that belongs to a stack, whatever state it is in; the caller holds `home.changing()`."""
    if supervisor.is_alive(running):
        shut_down(home, running)
        deadline = time.monotonic() + STOP_SECONDS
        while supervisor.is_alive(running) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    supervisor.end(supervisor.marked(running.mark))
    home.set_running(None)


def shut_down(home: Home, running: Running) -> None:
    """Have the supervisor stop the services, then the servers, then itself."""
    control = Supervisor(running, home.secrets())
    try:
        names = {state.name for state in control.states()} - {LIFELINE}
        for group in (names - set(SERVERS), names & set(SERVERS)):
            _stop_together(control, group)
        control.shutdown()
    except AWAY as error:
        # It is ended by its process id next.
        with _log(home) as log:
            log.write(f"the supervisor did not answer: {error}\n".encode())


def _stop_together(control: Supervisor, names: set[str]) -> None:
    """Stop processes all at once; by itself the supervisor takes one after the other, a second and more for each."""
    for name in names:
        control.stop(name)
    patience = max(STOP_SECONDS, DRAIN_SECONDS + 5.0) if names & set(ASKING) else STOP_SECONDS
    deadline = time.monotonic() + patience
    while any(state.pid for state in control.states() if state.name in names) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for name in names:
        control.remove(name)


def _log(home: Home) -> IO[bytes]:
    return home.log("supervisord").open("ab")
