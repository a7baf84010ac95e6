"""The embedded CPU engine as a worker runs it: processes of their own, ended with the worker however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import httpx2
import structlog
from pydantic import ValidationError

from services.inference.embedded.messages import Ended, Failed, Message, Ready, Start, Started, parse
from services.inference.engines.base import Check, Client, Engine, Note, Serving, quiet
from shared.errors import PermanentError, StageError
from shared.settings import Settings

log = structlog.get_logger()

MODEL = "checkpoint"
ROOT = Path(__file__).resolve().parents[3]
POLL = 0.1
GRACE = 3.0
HEALTH_TIMEOUT = 10.0


class EmbeddedEngine:
    """One forked engine process."""

    model = MODEL
    client: Client = "openai"
    managed = True
    together = True

    def __init__(self, host: Host, pid: int, url: str) -> None:
        self._host = host
        self.pid = pid
        self.url = url

    @property
    def host_pid(self) -> int:
        return self._host.pid

    def healthy(self) -> bool:
        if self._host.ended(self.pid):
            return False
        try:
            return httpx2.get(f"{self.url}/health", timeout=HEALTH_TIMEOUT, trust_env=False).is_success
        except httpx2.HTTPError:
            return False

    def last_words(self) -> str:
        return ""

    def end(self) -> None:
        self._host.end(self.pid)


class EmbeddedEngines:
    """Starts engines by forking a host that has torch imported; the host starts with the first of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = settings.engine_lock
        self._host: Host | None = None

    def start(self, serving: Serving, check: Check, note: Note = quiet) -> Engine:
        assert serving.folder is not None
        if self._host is None or not self._host.alive:
            self.close()
            self._host = Host(child_environment(self.settings.torch_threads))
        return self._host.start(
            check,
            folder=str(serving.folder.resolve()),
            lock=str(self.lock.resolve()),
            dtype=serving.dtype,
            chat_template=serving.chat_template,
            adapter=None if serving.adapter is None else str(serving.adapter.resolve()),
            threads=self.settings.torch_threads,
            trust_remote_code=self.settings.trust_remote_code,
        )

    def close(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None


class Host:
    """The process that forks engines, and what it has said about them."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._numbers = count(1)
        self._changed = threading.Condition()
        self._pids: dict[int, int] = {}
        self._urls: dict[int, str] = {}
        self._failures: dict[int, Failed] = {}
        self._ended: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "services.inference.embedded.host"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="engine-host", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self, check: Check, **start: object) -> EmbeddedEngine:
        """Fork an engine and wait until it answers; see `Starter.start`."""
        number = next(self._numbers)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(
                Start.model_validate({"id": number, "name": MODEL, **start}).model_dump_json().encode() + b"\n"
            )
            self._process.stdin.flush()
        except OSError as error:
            raise StageError(f"the engine's host ended: {error}") from error
        try:
            while not self._settled(number):
                check()
                with self._changed:
                    self._changed.wait(POLL)
        except BaseException:
            if (pid := self._pids.get(number)) is not None:
                self.end(pid)
            else:
                self.close()
            raise
        return EmbeddedEngine(self, self._pids[number], self._urls[number])

    def ended(self, pid: int) -> bool:
        return pid in self._ended or not self.alive

    def end(self, pid: int) -> None:
        """End an engine: SIGTERM, and after `GRACE` seconds SIGKILL. Without a host it ends with the pipe."""
        if not self.alive:
            self.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.ended(pid):
                return
            # It is not reaped before `_ended` has it, and then at most for an instant: the number is still its own.
            os.kill(pid, number)
            self._await_end(pid, GRACE)

    def close(self) -> None:
        """End the host and every engine."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            log.info("engine.host_was_gone")
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("engine.host_ended")
        self._process.wait()
        self._reader.join(GRACE)

    def _settled(self, number: int) -> bool:
        """Whether an engine is ready. Raises where it will never be."""
        if failure := self._failures.get(number):
            raise (PermanentError if failure.permanent else StageError)(failure.message)
        if number in self._urls and number in self._pids:
            return True
        status = self._ended.get(self._pids.get(number, -1))
        if status is not None:
            raise StageError(f"the engine ended while it started ({how_it_ended(status)})")
        if not self.alive:
            raise StageError(f"the engine's host ended ({how_it_ended(self._process.returncode)})")
        return False

    def _await_end(self, pid: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            self._changed.wait_for(lambda: self.ended(pid) or time.monotonic() > deadline, timeout=seconds)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                message = parse(line)
            except ValidationError:
                log.warning("engine.said", line=line.decode(errors="replace").rstrip())
                continue
            with self._changed:
                self._note(message)
                self._changed.notify_all()
        self._process.stdout.close()

    def _note(self, message: Message) -> None:
        if isinstance(message, Started):
            self._pids[message.id] = message.pid
        elif isinstance(message, Ready):
            self._urls[message.id] = message.url
        elif isinstance(message, Failed):
            self._failures[message.id] = message
        elif isinstance(message, Ended):
            self._ended[message.pid] = message.status


def how_it_ended(status: int | None) -> str:
    if status is not None and status < 0:
        return f"{signal.Signals(-status).name}: out of memory?" if status == -signal.SIGKILL else f"signal {-status}"
    return f"exit status {status}"


def child_environment(threads: int) -> dict[str, str]:
    """The children's environment: this process's, less Touchstone's settings (an engine needs no credentials)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
