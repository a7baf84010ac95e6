"""Real processes for tests: servers, services and workers that can be killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import redis
from celery import Celery

from infra.local.ports import free_port
from shared.errors import Outage
from shared.kinds import QUEUES
from shared.queues import celery_app, redis_client
from shared.settings import Settings
from shared.store import S3Store
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
# How each role starts; a second one of a role is named with a number (`trainer-2`).
ROLES: dict[str, tuple[str, ...]] = {
    "simulator": ("-m", "services.simulator"),
    "api": ("-m", "services.api"),
    "conductor": ("-m", "services.conductor"),
    "teacher": ("-m", "services.teacher"),
    "critic": ("-m", "services.critic"),
    "inference": ("-m", "services.inference"),
    "analyst": ("-m", "services.analyst"),
    "trainer": ("-m", "workers.trainer"),
}
WORKERS = frozenset({"teacher", "critic", "inference", "analyst", "trainer"})


class Stack:
    """A Valkey, an S3 server and any number of processes, each in its own process group, logged to a file.

    `settings` are fields of `shared.settings.Settings` that differ from the test's short times. Nothing restarts by
    itself: a test that kills a process starts it again.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        ports: set[int] = set()
        for _ in range(4):
            ports.add(free_port(frozenset(ports)))
        self.redis_port, self.s3_port, self.api_port, self.simulator_port = ports
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        given: dict[str, object] = {
            "redis_url": f"redis://:test-password@127.0.0.1:{self.redis_port}/0",
            "s3_endpoint": f"http://127.0.0.1:{self.s3_port}",
            "s3_access_key": "test-access-key",
            "s3_secret_key": "test-secret-key",
            "data_dir": folder / "work",
            "api_port": self.api_port,
            "simulator_port": self.simulator_port,
            "simulator_url": f"http://127.0.0.1:{self.simulator_port}/v1",
            "lease_seconds": 2.0,
            "relist_seconds": 3.0,
            "retry_seconds": 0.5,
            **settings,
        }
        self.settings = Settings.model_validate(given)
        self.environment = {f"TOUCHSTONE_{name.upper()}": str(value) for name, value in given.items()}
        # The servers read it from the environment before any settings are parsed.
        self.environment["TOUCHSTONE_S3_BUCKET"] = self.settings.s3_bucket
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {}

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def start_servers(self) -> None:
        """Start Valkey and the S3 server and wait until both answer."""
        self.start_valkey()
        self.start_s3()

    def start_valkey(self) -> None:
        self.start("valkey", ["-m", "infra.local.valkey", str(self.folder / "valkey")])
        wait_until(self._redis_answers, 10, "Valkey to answer")

    def start_s3(self) -> None:
        self.start("s3", ["-m", "infra.local.s3", str(self.folder / "s3")])
        wait_until(self._s3_answers, 10, "the S3 server to answer")

    def start(
        self, name: str, command: Sequence[str] | None = None, cwd: Path = ROOT, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a process under a name.

        `command` is a program's or a module's (`-m …`) words; without it, what the name stood for, or else the role
        that it names (`ROLES`).
        """
        known, before = self.commands.get(name, (ROLES.get(name.rpartition("-")[0] or name, ()), {}))
        words, extra = (command or known), {**before, **environment}
        if not words:
            raise KeyError(f"no command is known for {name!r}; roles are {', '.join(ROLES)}")
        if self.alive(name):
            raise RuntimeError(f"{name} still runs")
        self.commands[name] = (words, extra)
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *words] if words[0] == "-m" else words,
                cwd=cwd,
                env={**os.environ, **self.environment, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **extra},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.processes[name]

    def wait_ready(self, name: str, timeout: float = 30) -> None:
        """Wait until a started process does its work: answers HTTP, or Celery's ping.

        Raises:
            AssertionError: it ended, or was not ready in time; with the end of its log.
        """
        role = name.rpartition("-")[0] or name
        check = {"valkey": self._redis_answers, "s3": self._s3_answers}.get(role)
        if role in {"api", "simulator"}:
            url = f"{self.api_url}/readyz" if role == "api" else f"http://127.0.0.1:{self.simulator_port}/healthz"
            check = lambda: self._answers(url)  # noqa: E731
        elif role in WORKERS:
            check = lambda: self._pings(self.processes[name].pid)  # noqa: E731
        if check is None:
            raise KeyError(f"nothing tells when {name!r} is ready")
        ready = check
        try:
            wait_until(lambda: not self.alive(name) or ready(), timeout, f"{name} to be ready")
            assert self.alive(name), f"{name} ended with {self.processes[name].returncode}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(name)[-3000:]}") from None

    def alive(self, name: str) -> bool:
        """Whether a process of this name was started and has not ended."""
        return name in self.processes and self.processes[name].poll() is None

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process (not to its children) and, if it ends by it, wait for its end."""
        process = self.processes[name]
        process.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}:
            process.wait(30)

    def restart(self, name: str) -> None:
        """SIGKILL a process and start it again, as a supervisor would."""
        self.kill(name)
        self.start(name)

    def log(self, name: str) -> str:
        """What a process has written so far."""
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """End everything, with children."""
        for process in self.processes.values():
            for number in (signal.SIGCONT, signal.SIGKILL):
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    break
            process.wait(10)

    @property
    def store(self) -> S3Store:
        return S3Store.from_settings(self.settings)

    @property
    def redis(self) -> redis.Redis:
        return redis_client(self.settings)

    @property
    def app(self) -> Celery:
        return celery_app("tests", self.settings)

    def _pings(self, pid: int) -> bool:
        """Whether the worker of this process answers; its name has its process id."""
        names = [f"{queue}-{pid}@{socket.gethostname()}" for queue in QUEUES]
        return bool(self._redis_answers() and self.app.control.ping(names, timeout=0.5, limit=1))

    def _answers(self, url: str) -> bool:
        try:
            return httpx.get(url, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def _redis_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def _s3_answers(self) -> bool:
        try:
            self.store.ensure_bucket()
        except Outage:
            return False
        return True
