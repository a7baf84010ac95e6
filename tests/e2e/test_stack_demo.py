"""`make demo` as a person runs it: to its verdict, broken off and run again, beside a stack that runs already."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import supervisor
from tests.integration.stack.local import Local
from tests.waiting import wait_until

START = 120
FINISH = 900
# The command's own words, with the report left in the test's folder and not in the checkout.
DEMO = """
import sys
from pathlib import Path
from rich.console import Console
from infra.local.__main__ import run
from infra.local.demo import demo
from infra.local.home import Home
sys.exit(run(lambda: demo(Home.from_environment(), Console(), reports=Path(sys.argv[1]))))
"""


class Demo:
    """A demo that runs: its process, and what it has printed."""

    def __init__(self, local: Local, folder: Path) -> None:
        self.local = local
        self.reports = folder / "reports"
        self.output = folder / f"demo-{time.monotonic_ns()}.txt"
        self.process: subprocess.Popen[str] = local.start("-c", DEMO, str(self.reports), stdout=self.output)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_posted(self) -> None:
        wait_until(lambda: "→ experiment" in self.said or self.process.poll() is not None, START, "the POST")
        assert self.process.poll() is None, self.said

    def finish(self) -> int:
        return self.process.wait(FINISH)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    made = Local(tmp_path)
    yield made
    made.end()


def commits(local: Local) -> dict[str, bytes]:
    """All committed manifests, by name, from the store's folder."""
    folder = local.home.s3 / "touchstone" / "commits"
    return {path.name: path.read_bytes() for path in folder.rglob("*.json")}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGKILL, -9),
    ],
)
def test_a_demo_that_is_ended_takes_its_stack_with_it(
    local: Local, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    demo = Demo(local, tmp_path)
    demo.wait_posted()
    mark = local.running.mark
    code, said = local.run("down")
    assert code == 1 and "belongs to a `make demo`" in said
    assert len(supervisor.marked(mark)) > 10
    demo.process.send_signal(number)
    assert demo.process.wait(60) == status
    wait_until(lambda: not supervisor.marked(mark), 60, "its processes to end")
    if number != signal.SIGKILL:
        assert local.home.running() is None


@pytest.mark.timeout(120)
def test_a_second_demo_in_a_folder_is_refused(local: Local, tmp_path: Path) -> None:
    local.home.prepare()
    with local.home.owner_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        demo = Demo(local, tmp_path)
        assert demo.process.wait(60) == 1
    assert demo.said.startswith("error: another `make demo` runs in this folder")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_demo_ends_in_a_verdict_resumes_and_reuses(local: Local, tmp_path: Path) -> None:
    first = Demo(local, tmp_path)
    wait_until(lambda: len(commits(local)) >= 6 or first.process.poll() is not None, FINISH, "six commits")
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(60) == 130, first.said
    before = commits(local)

    second = Demo(local, tmp_path)
    assert second.finish() == 0, second.said
    assert "what it left is used" in second.said and "reused" in second.said
    after = commits(local)
    assert {name: after[name] for name in before} == before
    report = json.loads((second.reports / "quickstart" / "report.json").read_text())
    assert not report["partial"] and report["verdict"]["sentence"]
    assert {"sft-weak", "sft-strong", "rlaif-weak", "rlaif-strong"} <= set(report["arms"])
    critic, judge = (report["critics"][name]["position"]["flip_rate"] for name in ("critic", "judge"))
    # The quickstart's critic has no position bias, its judge one of .05: so often a pair flips, unless it is even.
    assert critic["estimate"] == 0 and judge["estimate"] > 0 and judge["interval"][0] <= 0.05
    assert "<html" in (second.reports / "quickstart" / "report.html").read_text()
    assert "report.html" in second.said
    assert local.home.running() is None

    began = time.monotonic()
    third = Demo(local, tmp_path)
    assert third.finish() == 0, third.said
    assert time.monotonic() - began < START
    assert commits(local) == after
    assert "reused" in third.said

    code, said = local.run("up", timeout=START)
    assert code == 0, said
    beside = Demo(local, tmp_path)
    assert beside.finish() == 0, beside.said
    assert "left running" in beside.said
    assert local.is_ready()
    assert local.run("down", timeout=60)[0] == 0
