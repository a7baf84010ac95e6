"""The embedded stack's commands, run as a person runs them, in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from infra.local import supervisor
from infra.local.home import Home, Running
from infra.local.ports import free_port
from tests.stack import ROOT


class Local:
    """`python -m infra.local` over one home folder; the folder's name is as odd as a person's may be."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "it's a #1;%d home")
        self.port, self.flower = free_port(), free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOUCHSTONE_")},
            # A proxy that leads nowhere, as the proxy of a company's machine leads nowhere near its own loopback.
            **dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9"),
            "TOUCHSTONE_HOME": str(self.home.folder),
            "TOUCHSTONE_API_PORT": str(self.port),
            "TOUCHSTONE_FLOWER_PORT": str(self.flower),
        }

    def start(self, *words: str, stdout: Path) -> subprocess.Popen[str]:
        """Start a command (or a program, by `-c`) and return at once; it prints to a file."""
        with stdout.open("w") as file:
            return subprocess.Popen(
                [sys.executable, *(words if words[0] == "-c" else ("-m", "infra.local", *words))],
                cwd=ROOT,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, *words: str, timeout: float = 120) -> tuple[int, str]:
        """Run a command to its end: exit status, and what it printed."""
        output = self.home.folder.parent / "output.txt"
        process = self.start(*words, stdout=output)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        return process.returncode, output.read_text()

    @property
    def running(self) -> Running:
        found = self.home.running()
        assert found is not None, "nothing is written down as running"
        return found

    def states(self) -> dict[str, tuple[str, int]]:
        """By process, its state and process id."""
        control = supervisor.Supervisor(self.running, self.home.secrets())
        return {state.name: (state.state, state.pid) for state in control.states()}

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.running.api_url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if running := self.home.running():
            supervisor.end(supervisor.marked(running.mark), patience=1)
