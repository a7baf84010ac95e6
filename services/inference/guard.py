"""`python -m services.inference.guard JOB`: starts an engine that is not ours, and answers for its end.

Such an engine (TGI, vLLM) knows nothing of its worker. So this process stands between the two: it takes the machine's
lock, starts the engine in its own session, says what becomes of it on standard output, a line of JSON each, and when
the worker's end of standard input closes, SIGKILL of the worker included, kills every process of the session. What the
engine says goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from services.inference.processes import kill_session
from shared.machine_lock import hold

PORTS = ("{port}", "{port 2}", "{port 3}")
"""What stands for a free port in a command; the first is the one that it listens on."""
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Job:
    """What to start. `environment` is laid over this process's; None takes a variable out. `grace` is in seconds."""

    command: list[str]
    environment: dict[str, str | None]
    lock: str
    grace: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Guard:
    """One engine, from the lock to its end."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = os.dup(1)
        os.dup2(2, 1)
        self._ending = threading.Event()

    def run(self) -> int:
        """Returns once no process of the engine is left."""
        threading.Thread(target=_end_with_worker, name="lifeline", daemon=True).start()
        lock = hold(Path(self._job.lock), lambda: self._say(state="waiting"))
        self._say(state="held")
        signal.signal(signal.SIGTERM, lambda *_: self._ending.set())
        command, port = with_ports(self._job.command)
        try:
            engine = self._start(command, lock)
        except OSError as error:
            self._say(state="failed", error=f"{command[0]} cannot be started: {error.strerror or error}")
            return 1
        self._say(state="started", pid=engine.pid, port=port)
        status = self._wait(engine)
        # Before the lock goes: what is left of the engine would still be in the next one's way.
        kill_session(os.getsid(0), spare=os.getpid())
        self._say(state="ended", status=status)
        return 0

    def _start(self, command: list[str], lock: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=overlaid(os.environ, self._job.environment),
            stdin=subprocess.DEVNULL,
            # The lock is the engine's too, and so free only when its processes are gone, however this one ends.
            pass_fds=(lock,),
            preexec_fn=_end_with_guard,
        )

    def _wait(self, engine: subprocess.Popen[bytes]) -> int:
        """The engine's exit status. Told to end, it gets SIGTERM first, and `grace` seconds for it."""
        while (status := engine.poll()) is None and not self._ending.wait(0.05):
            continue
        if status is not None:
            return status
        engine.terminate()
        try:
            return engine.wait(self._job.grace)
        except subprocess.TimeoutExpired:
            engine.kill()
            return engine.wait()

    def _say(self, **fields: Any) -> None:
        try:
            os.write(self._out, json.dumps(fields).encode() + b"\n")
        except BrokenPipeError:
            return


def overlaid(environment: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """An environment with changes; None takes a variable out."""
    return {name: value for name, value in {**environment, **changes}.items() if value is not None}


def with_ports(command: list[str]) -> tuple[list[str], int]:
    """The command with free ports in the places of `PORTS`, and the first of them."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    places = dict(zip(PORTS, map(str, numbers), strict=True))
    return [places.get(word, word) for word in command], numbers[0]


def _end_with_guard() -> None:
    """In the engine, before it begins: a SIGTERM at the guard's own sudden end. Linux alone has this."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_with_worker() -> NoReturn:
    pipe = select.poll()
    pipe.register(0, 0)
    while not any(event & (select.POLLHUP | select.POLLERR) for _, event in pipe.poll()):
        continue
    kill_session(os.getsid(0), spare=os.getpid())
    os._exit(1)


if __name__ == "__main__":
    sys.exit(Guard(Job(**json.loads(sys.argv[1]))).run())
