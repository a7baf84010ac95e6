"""TGI and vLLM as a worker runs them on each checkpoint: a guard, the engine behind it, and a clean end of both."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import structlog

from services.inference.adapters import Adapter, read_adapter
from services.inference.engines.base import Check, Client, Engine, Note, Serving, quiet
from services.inference.engines.commands import Launch, operator_words, spec_words, tgi_command, vllm_command
from services.inference.engines.embedded import HEALTH_TIMEOUT, child_environment, how_it_ended
from services.inference.engines.tgi_folder import TEMPLATE, tgi_folder
from services.inference.guard import Job
from services.inference.processes import kill_session
from shared.chat_templates import chat_template
from shared.errors import Outage, PermanentError, StageError
from shared.settings import Settings

log = structlog.get_logger()

MODEL = "checkpoint"
TGI_MODEL = "tgi"
"""What TGI calls whatever it serves; any other name is an adapter's."""
POLL = 0.1
USAGE = 2
"""The exit status of a program that does not know an argument."""
TAIL = 200
SHOWN = 15
READ = 2.0


class LaunchedEngine:
    """One engine behind its guard."""

    managed = True
    together = False

    def __init__(self, name: str, client: Client, model: str, serves: str, job: Job, scratch: Path) -> None:
        self.name = name
        self.client = client
        self.model = model
        self._serves = serves
        self.url = ""
        self.pid: int | None = None
        self._waits_for = ""
        self._grace = job.grace
        self._scratch = scratch
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "services.inference.guard", job.to_json()],
            env=child_environment(1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._hear, self._read)]
        for reader in self._readers:
            reader.start()

    @property
    def guard_pid(self) -> int:
        return self._guard.pid

    def healthy(self) -> bool:
        if self._guard.poll() is not None:
            return False
        try:
            return httpx2.get(f"{self.url}/health", timeout=HEALTH_TIMEOUT, trust_env=False).is_success
        except httpx2.HTTPError:
            return False

    def end(self) -> None:
        """SIGTERM by way of the guard, which ends the engine; what is left of either is killed."""
        if self._guard.poll() is None:
            self._guard.send_signal(signal.SIGTERM)
            try:
                self._guard.wait(self._grace + READ)
            except subprocess.TimeoutExpired:
                log.warning("engine.guard_is_slow", engine=self.name)
        # Where the guard itself was killed, its engine is still there, in its session.
        kill_session(self._guard.pid)
        self._guard.wait()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        for reader in self._readers:
            reader.join(READ)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def wait_ready(self, check: Check, note: Note, seconds: float) -> None:
        """Wait for the lock, however long, then at most `seconds` for an answer. Raises what `Starter.start` does."""
        started = None
        while True:
            check()
            self._take()
            if self._waits_for:
                # Again and again: what is said too soon after something else is not passed on.
                note(self._waits_for)
            if self._guard.poll() is not None:
                self._take()
                raise self._failure(f"{self.name}'s guard ended ({how_it_ended(self._guard.returncode)})")
            if self.url:
                started = started or time.monotonic()
                if self.healthy():
                    return self._check_identity()
                if time.monotonic() - started > seconds:
                    slow = f"did not answer within {seconds:g} s of its start (TOUCHSTONE_ENGINE_START_SECONDS)"
                    raise self._failure(f"{self.name} {slow}")
            time.sleep(POLL)

    def last_words(self) -> str:
        """The end of what the engine has written, for a log."""
        if self._guard.poll() is not None:
            self._readers[1].join(READ)
        return "\n".join(list(self._tail)[-SHOWN:])

    def _take(self) -> None:
        """Take in what the guard has said. Raises where the engine has ended."""
        while not self._said.empty():
            said = self._said.get()
            state = said["state"]
            if state == "waiting":
                self._waits_for = f"{self.name} waits for the device, which another worker of this machine has"
            elif state == "held":
                self._waits_for = f"{self.name} starts"
            elif state == "started":
                self.pid, self.url = said["pid"], f"http://127.0.0.1:{said['port']}"
            elif state == "failed":
                raise Outage(f"{said['error']}; this worker needs the image with {self.name} (infra/docker)")
            elif state == "ended":
                error = PermanentError if said["status"] == USAGE else StageError
                raise self._failure(f"{self.name} ended while it started ({how_it_ended(said['status'])})", error)

    def _failure(self, what: str, kind: type[StageError] = StageError) -> StageError:
        words = self.last_words()
        return kind(f"{what}; the end of what it wrote:\n{words}" if words else f"{what}; it wrote nothing")

    def _check_identity(self) -> None:
        """A port that somebody else took first would answer too."""
        try:
            found = httpx2.get(f"{self.url}/v1/models", timeout=HEALTH_TIMEOUT, trust_env=False).json()
            names = [entry["id"] for entry in found["data"]]
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._failure(f"{self.name} does not say what it serves ({error})") from error
        if self._serves not in names:
            raise self._failure(f"what answers at {self.url} serves {', '.join(names)} and not {self._serves}")

    def _hear(self) -> None:
        assert self._guard.stdout is not None
        for line in self._guard.stdout:
            self._said.put(json.loads(line))
        self._guard.stdout.close()

    def _read(self) -> None:
        assert self._guard.stderr is not None
        for line in self._guard.stderr:
            text = line.decode(errors="replace").rstrip()
            self._tail.append(text[:500])
            log.debug("engine.said", engine=self.name, line=text)
        self._guard.stderr.close()


@dataclass(frozen=True)
class Kind:
    """What tells one engine from the other."""

    name: str
    client: Client
    command: Callable[[Launch], list[str]]
    names: Callable[[Launch], tuple[str, str]]
    """What requests call the model, and what the engine lists it as."""
    prepared: Callable[[Path, Path, str | None], tuple[Path, Path | None]]
    """From a model's folder, a start's own and a chat template: the folder to serve, and the file of a template that
    is not in it."""


def _for_tgi(folder: Path, scratch: Path, template: str | None) -> tuple[Path, Path | None]:
    return tgi_folder(folder, scratch / "model", template), None


def _for_vllm(folder: Path, scratch: Path, template: str | None) -> tuple[Path, Path | None]:
    if template is None:
        return folder, None
    (scratch / TEMPLATE).write_text(template)
    return folder, scratch / TEMPLATE


KINDS = {
    "tgi": Kind("tgi", "tgi", tgi_command, lambda it: (it.name if it.adapter else TGI_MODEL, str(it.folder)), _for_tgi),
    "vllm": Kind("vllm", "openai", vllm_command, lambda it: (it.name, it.name), _for_vllm),
}


class LaunchedEngines:
    """Starts engines of one kind."""

    def __init__(self, kind: Kind, settings: Settings) -> None:
        self._kind = kind
        self._settings = settings
        self._operator = operator_words(kind.name, getattr(settings, f"{kind.name}_args"))

    def start(self, serving: Serving, check: Check, note: Note = quiet) -> Engine:
        scratch = Path(tempfile.mkdtemp(prefix="engine-"))
        try:
            launch = self._launch(serving, scratch)
            command = self._kind.command(launch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        job = Job(
            command=command,
            environment=engine_environment(),
            lock=str(self._settings.engine_lock.resolve()),
            grace=self._settings.engine_grace_seconds,
        )
        model, serves = self._kind.names(launch)
        engine = LaunchedEngine(self._kind.name, self._kind.client, model, serves, job, scratch)
        try:
            engine.wait_ready(check, note, self._settings.engine_start_seconds)
        except BaseException:
            engine.end()
            raise
        return engine

    def close(self) -> None:
        return None

    def _launch(self, serving: Serving, scratch: Path) -> Launch:
        assert serving.folder is not None
        folder, adapter = serving.folder.resolve(), serving.adapter
        found: Adapter | None = None if adapter is None else read_adapter(adapter)
        template = None if serving.chat_template is None else chat_template(serving.chat_template)
        if template is None and adapter is not None and (adapter / TEMPLATE).exists():
            # A training saves its template beside what it trained.
            template = (adapter / TEMPLATE).read_text()
        folder, template_file = self._kind.prepared(folder, scratch, template)
        return Launch(
            folder=folder,
            name=MODEL,
            dtype=serving.dtype,
            concurrency=self._settings.request_concurrency,
            scratch=scratch,
            grace=self._settings.engine_grace_seconds,
            chat_template=template_file,
            adapter=None if adapter is None else adapter.resolve(),
            rank=0 if found is None else found.rank,
            trust_remote_code=self._settings.trust_remote_code,
            extra=(*self._operator, *spec_words(self._kind.name, dict(serving.arguments))),
        )


def engine_environment() -> dict[str, str | None]:
    """What is other for the engine than for its guard: it has libraries and threads of its own."""
    return {
        "PYTHONPATH": os.environ.get("PYTHONPATH"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM"),
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
