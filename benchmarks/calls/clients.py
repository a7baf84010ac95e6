"""The other clients: each in an environment of its own, pinned, asked to do case 1 against the same stand-in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls.rig import MODEL, load, rig
from benchmarks.calls.throughput import LATENCY
from shared.world.prompts import make_prompts

SCRIPTS = Path(__file__).parent / "peers"
PIP = "pip==26.3"
INSTALL_SECONDS = 3600
RUN_SECONDS = 900


@dataclass(frozen=True)
class Client:
    """A peer: what is installed for it, and the script that asks."""

    name: str
    packages: tuple[str, ...]

    @property
    def script(self) -> Path:
        return SCRIPTS / f"{self.name}.py"


CLIENTS = (
    Client("plain", ("openai==3.54.0",)),
    Client("curator", ("bespokelabs-curator==0.1.31",)),
    # It imports requests without asking for it.
    Client("distilabel", ("distilabel[openai]==1.5.3", "requests==2.32.5")),
)


@dataclass(frozen=True)
class Run:
    """How a peer did: seconds after the first request, CPU seconds of its processes without imports, answers."""

    wall: float
    cpu: float
    answers: int


def install(client: Client, folder: Path) -> Path | None:
    """The Python of the client's environment, made where it is not yet there; None, and why is printed, if it fails."""
    home = folder / "-".join([client.name, *client.packages]).replace("/", "_")
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = ["nice", "-n", "19", str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # What comes with Python 3.11 resolves them for many minutes.
    subprocess.run([*pip, "--upgrade", PIP], check=True)
    done = subprocess.run(
        [*pip, *client.packages], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode != 0:
        print(f"{client.name}: cannot be installed here: {done.stderr.strip()[-500:]}")
        return None
    (home / "installed").touch()
    return python


def ask(client: Client, python: Path, count: int, at_once: int) -> Run | None:
    """Case 1 by a peer; None, and why is printed, if it ends without all answers."""
    with rig(at_once, "--latency-ms", str(LATENCY * 1000)) as made:
        folder = made.stack.folder
        prompts = [prompt.text for prompt in make_prompts(count, 0)]
        asked = folder / "asked.json"
        words = {"base_url": made.base_url, "model": MODEL, "at_once": at_once, "prompts": prompts}
        asked.write_text(json.dumps({**words, "folder": str(folder / "peer")}))
        with (folder / "peer.log").open("wb") as log:
            process = subprocess.Popen(
                [str(python), str(client.script), str(asked), str(folder / "told.json")],
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
            try:
                code = process.wait(RUN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                code = -9
        # A refused one is no request of the job: curator asks once for nothing, to read the limits' headers.
        traffic = [line for line in made.traffic() if line["status"] == 200]
        if code != 0 or not (folder / "told.json").exists():
            words_at_end = (folder / "peer.log").read_text(errors="replace")[-600:]
            print(f"{client.name}: ended with {code} after {len(traffic)} requests: {words_at_end}")
            return None
        told = json.loads((folder / "told.json").read_text())
        answers = len({line["hash"] for line in traffic if line["answered"]})
        return Run(told["ended"] - min(line["arrived"] for line in traffic), told["cpu"], min(answers, told["answers"]))


def compare(folder: Path, names: list[str], count: int, at_once: int) -> dict[str, Run]:
    """Install and run the peers; prints a line for each."""
    runs: dict[str, Run] = {}
    for client in CLIENTS:
        if client.name not in names or (python := install(client, folder)) is None:
            continue
        started = time.monotonic()
        run = ask(client, python, count, at_once)
        if run is not None:
            runs[client.name] = run
            print(
                f"{client.name} ({', '.join(client.packages)}): {run.answers} of {count} answers, {run.wall:.2f} s "
                f"after the first request ({time.monotonic() - started:.0f} s in all), CPU {run.cpu:.2f} s; {load()}"
            )
    return runs
