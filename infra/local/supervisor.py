"""Talking to a stack's supervisor, and finding its processes whatever became of it."""

from __future__ import annotations

import http.client
import xmlrpc.client
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from infra.local.configuration import USER
from infra.local.home import Running, Secrets
from infra.local.ports import LOOPBACK
from infra.local.roles import MARK

TIMEOUT = 15.0
# What the supervisor cannot be reached by: it is away, or on its way out.
AWAY = (OSError, http.client.HTTPException, xmlrpc.client.Error)


@dataclass(frozen=True)
class State:
    """One process as its supervisor sees it: `state` is RUNNING, STARTING, BACKOFF, STOPPING, STOPPED or EXITED."""

    name: str
    state: str
    pid: int
    seconds: int
    note: str


class _Transport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = TIMEOUT
        return connection


class Supervisor:
    """The supervisor's XML-RPC interface; methods raise what is in `AWAY` when it does not answer."""

    def __init__(self, running: Running, secrets: Secrets) -> None:
        address = f"{USER}:{secrets.supervisor_password}@{LOOPBACK}:{running.ports['supervisor']}"
        proxy = xmlrpc.client.ServerProxy(f"http://{address}/RPC2", transport=_Transport())
        self._call: Callable[..., Any] = lambda name, *given: getattr(proxy.supervisor, name)(*given)

    def states(self) -> list[State]:
        """All processes, by name."""
        return [
            State(info["name"], info["statename"], info["pid"], info["now"] - info["start"], info["spawnerr"])
            for info in self._call("getAllProcessInfo")
        ]

    def stop(self, name: str) -> None:
        """Ask a process to stop, without waiting for it; no error if it does not run."""
        with suppress(xmlrpc.client.Fault):
            self._call("stopProcess", name, False)

    def shutdown(self) -> None:
        self._call("shutdown")

    def reread(self) -> tuple[list[str], list[str]]:
        """Read the configuration again: names of processes that are new in it, and of those that it lost."""
        added, _, removed = self._call("reloadConfig")[0]
        return added, removed

    def add(self, name: str) -> None:
        """Start a process that is new in the configuration."""
        self._call("addProcessGroup", name)

    def remove(self, name: str) -> None:
        """Stop a process, wait until it has, and forget it."""
        with suppress(xmlrpc.client.Fault):
            self._call("stopProcess", name)
        self._call("removeProcessGroup", name)


def is_alive(running: Running) -> bool:
    """Whether the stack's supervisor lives (and its process id is not another program's by now)."""
    try:
        process = psutil.Process(running.supervisor_pid)
        environment = process.environ()
        # In the moment of its exec a process has no environment yet.
        mine = not environment or environment.get(MARK) == running.mark
        return mine and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marked(mark: str) -> list[psutil.Process]:
    """Every process of a stack, with those that lost their parent or left their group."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end(processes: list[psutil.Process], patience: float = 5.0) -> None:
    """End processes: politely, then not."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=patience)
