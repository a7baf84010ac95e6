"""The embedded engine (`services.inference.embedded`) as a subprocess that cannot outlive this worker."""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import structlog

from services.inference.engines.base import Serve
from shared.errors import StageError

log = structlog.get_logger()

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 300.0
END_SECONDS = 8.0
NAME = "policy"


class EmbeddedEngine:
    """One checkpoint on this machine's CPU. It ends with `close`, and when the pipe to this process closes."""

    def __init__(self, serve: Serve) -> None:
        self._lock = _hardware(serve.lock)
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the engine
        self._process = subprocess.Popen(
            _command(serve),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_environment(serve.threads),
            start_new_session=True,
        )
        self.model = NAME
        started = time.monotonic()
        try:
            self.url = f"{self._address(started + START_SECONDS)}/v1"
        except BaseException:
            self.close()
            raise
        log.info("engine.started", folder=serve.folder.name[:12], seconds=round(time.monotonic() - started, 1))

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()
        self._lock.close()

    def _address(self, deadline: float) -> str:
        """The URL that the engine says on its first line."""
        assert self._process.stdout is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise StageError(f"the engine did not answer within {START_SECONDS:.0f} s")
                data = os.read(self._process.stdout.fileno(), 4096)
                if not data:
                    raise StageError(f"the engine did not start: {self._last_words()}")
                line += data
        return str(json.loads(line)["url"])

    def _last_words(self) -> str:
        self._process.wait()
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().splitlines() if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else f"exit status {self._process.returncode}"


def _hardware(path: Path) -> IO[str]:
    """Wait for this host's engine lock; the kernel frees it with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _command(serve: Serve) -> list[str]:
    template = ["--chat-template", serve.chat_template] if serve.chat_template else []
    trust = ["--trust-remote-code"] if serve.trust_remote_code else []
    return [
        *(sys.executable, "-m", "services.inference.embedded", "--model", str(serve.folder), "--name", NAME),
        *("--port", "0", "--dtype", serve.dtype, "--threads", str(serve.threads), "--until-stdin-closes"),
        *template,
        *trust,
    ]


def _environment(threads: int) -> dict[str, str]:
    """This process's environment, less Touchstone's settings: an engine needs no credentials."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")}
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
