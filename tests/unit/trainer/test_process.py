"""A training's processes end with their worker, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until
from workers.trainer import messages
from workers.trainer.process import TrainingProcess, environment

# Writes its own and its rank's process id, then waits for ever. The rank leads a session of its own, as torchrun's do.
RANK = "from workers.trainer import lifeline; import threading; lifeline.hold(); threading.Event().wait()"
TRAINING = f"""
import pathlib, subprocess, sys, os, signal
WAIT = "import threading; threading.Event().wait()"
from workers.trainer import lifeline
lifeline.hold()
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
rank = subprocess.Popen([sys.executable, "-c", {RANK!r}], start_new_session=True)
helper = subprocess.Popen([sys.executable, "-c", WAIT], stdin=subprocess.DEVNULL)
pids = pathlib.Path(sys.argv[1])
pids.with_suffix(".partial").write_text(f"{{os.getpid()}} {{rank.pid}} {{helper.pid}}")
pids.with_suffix(".partial").rename(pids)
rank.wait()
"""
WORKER = """
import sys, threading
from workers.trainer.process import TrainingProcess, environment
from pathlib import Path
process = TrainingProcess([sys.executable, "-c", sys.argv[1], sys.argv[2], "gentle"], environment(Path("/"), 1, True))
threading.Event().wait()
"""


def running(pid: int) -> bool:
    """Whether a process lives (a zombie that nobody reaps does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids_in(path: Path) -> list[int]:
    wait_until(path.exists, 10, "the training to start")
    return [int(pid) for pid in path.read_text().split()]


def all_end(pids: list[int]) -> None:
    wait_until(lambda: not any(running(pid) for pid in pids), 10, f"{pids} to end")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A process that holds a training, and the training's processes."""
    process = subprocess.Popen([sys.executable, "-c", WORKER, TRAINING, str(tmp_path / "pids")])
    pids = pids_in(tmp_path / "pids")
    yield process, pids
    process.kill()
    process.wait()
    for pid in filter(running, pids):
        os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_leaves_no_orphan(worker: tuple[subprocess.Popen[bytes], list[int]]) -> None:
    process, pids = worker
    assert all(running(pid) for pid in pids)
    process.kill()
    all_end(pids)


def test_a_killed_training_takes_its_ranks_along_once_its_worker_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "pids"), "gentle"]
    with TrainingProcess(command, environment(tmp_path, 1, True)) as process:
        pids = pids_in(tmp_path / "pids")
        os.kill(pids[0], signal.SIGKILL)
        assert wait_until(process.exited, 5, "the leader's end") == -signal.SIGKILL
    all_end(pids)


@pytest.mark.parametrize("manner", ["gentle", "stubborn"])
def test_end_ends_them_all(tmp_path: Path, manner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.trainer.process.GRACE", 0.2)
    process = TrainingProcess(
        [sys.executable, "-c", TRAINING, str(tmp_path / "pids"), manner], environment(tmp_path, 1, True)
    )
    pids = pids_in(tmp_path / "pids")
    process.end()
    all_end(pids)
    process.end()


def test_messages_are_told_from_prints(tmp_path: Path) -> None:
    code = """
import sys
print("a library speaks before")
from workers.trainer.messages import Channel, Progress
channel = Channel()
print("and after", flush=True)
channel.send(Progress(step=1, total=2, row={"loss": float("nan")}))
"""
    with TrainingProcess([sys.executable, "-c", code], environment(tmp_path, 1, True)) as process:
        wait_until(lambda: process.exited() is not None, 10, "the end")
        process.end()
        items = []
        while (item := process.next(0)) is not None:
            items.append(item)
    assert {item for item in items if isinstance(item, str)} == {"a library speaks before", "and after"}
    assert [type(item) for item in items if not isinstance(item, str)] == [messages.Progress]


def test_a_training_gets_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_S3_SECRET_KEY", "secret")
    assert not any(name.startswith("TOUCHSTONE_") for name in environment(tmp_path, 1, offline=True))


def test_the_worker_imports_no_torch() -> None:
    code = (
        "import sys, workers.trainer.__main__\n"
        "sys.exit(', '.join(sys.modules.keys() & {'torch', 'transformers', 'trl', 'datasets'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
