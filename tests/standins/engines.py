"""Stand-ins for `text-generation-launcher` and `vllm`: their arguments, their HTTP, their way to start, crash and end.

No model runs in them: a completion is words by a hash of the weights' bytes, the conversation and, where it is sampled,
the seed. Standard library alone, so that one starts in a tenth of a second. How one misbehaves is in the environment,
as JSON: see `Manners`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MANNERS = "ENGINE_STANDIN"
WORDS = ("so", "the", "answer", "is", "one", "two", "three", "of", "red", "green", "blue", "and", "some", "here")


@dataclass
class Manners:
    """`folder` gets a line a start, a file a shard, a line a request; it also remembers what was done once."""

    folder: str
    start_seconds: float = 0.2
    latency: float = 0.0
    context: int = 128
    crash_at_start: str = ""
    crash_after: int = 0
    """Once, in the middle of the requests: ends as an abort does, and leaves its shard behind."""
    ignores_sigterm: bool = False
    never_ready: bool = False
    shards: int = 1


class Refused(Exception):
    """A request that the real one would not take."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class Model:
    """What is served: names, each with what its texts depend on."""

    def __init__(self, folder: Path, names: dict[str, Path | None], context: int) -> None:
        self.base = weights(folder)
        self.names = {name: self.base if adapter is None else weights(adapter) for name, adapter in names.items()}
        self.context = context

    def completion(self, name: str, messages: list[dict[str, str]], most: int, temperature: float, seed: int) -> str:
        """Up to `most` words."""
        told = [self.names[name], json.dumps(messages), "" if temperature == 0 else f"{seed}/{temperature}"]
        drawn = hashlib.sha256("\n".join(told).encode()).digest()
        return " ".join(WORDS[byte % len(WORDS)] for byte in drawn[: min(most, 1 + drawn[0] % 12)])


def weights(folder: Path) -> str:
    """A hash of the weights, as loading would read them."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        sys.exit(f"no safetensors weights found in {folder}")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def tokens_of(messages: list[dict[str, str]]) -> int:
    return sum(len(message["content"].split()) + 1 for message in messages)


class Handler(BaseHTTPRequestHandler):
    """Routes of either engine; `server` is a `Served`."""

    protocol_version = "HTTP/1.1"
    server: Served

    def do_GET(self) -> None:
        found = self.server.get(self.path)
        self._answer(404 if found is None else 200, {"error": "not found"} if found is None else found)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.counted(self.path, body):
            try:
                self._answer(200, self.server.post(self.path, body))
            except Refused as refused:
                self._answer(refused.status, refused.body)

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Served(ThreadingHTTPServer):
    """One engine's HTTP server."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int, model: Model, manners: Manners) -> None:
        self.model = model
        self.manners = manners
        self.running = 0
        self.asked = 0
        self.changed = threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    def get(self, path: str) -> Any:
        raise NotImplementedError

    def post(self, path: str, body: dict[str, Any]) -> Any:
        raise NotImplementedError

    def counted(self, path: str, body: dict[str, Any]) -> Running:
        return Running(self, path, body)


class Running:
    """A request under way: noted, slowed down, and now and then the last one."""

    def __init__(self, server: Served, path: str, body: dict[str, Any]) -> None:
        self._server = server
        self._noted = json.dumps({"path": path, **body})

    def __enter__(self) -> None:
        server = self._server
        with server.changed:
            server.running += 1
            server.asked += 1
            note(server.manners, "requests", self._noted)
            note(server.manners, "running", str(server.running))
            if server.asked == server.manners.crash_after and once(server.manners, "crashed"):
                say("terminate called after throwing an instance of 'c10::Error'")
                say("CUDA error: an illegal memory access was encountered")
                os._exit(134)
        time.sleep(server.manners.latency)

    def __exit__(self, *_: object) -> None:
        with self._server.changed:
            self._server.running -= 1
            self._server.changed.notify_all()


def serve(server: Served, manners: Manners, shards: list[subprocess.Popen[bytes]]) -> None:
    """Serve until SIGTERM; then finish what runs, as both real ones do, and end the shards."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: None if manners.ignores_sigterm else ending.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("Connected" if shards else "Application startup complete.")
    while not ending.wait(0.02):
        continue
    with server.changed:
        drained = server.changed.wait_for(lambda: server.running == 0, 60)
    note(manners, "ends", f"drained {drained}")
    for shard in shards:
        shard.terminate()
        shard.wait()
    sys.exit(0)


def begin(manners: Manners, told: dict[str, Any]) -> list[subprocess.Popen[bytes]]:
    """Note the start, take a loading model's time, and start shards as TGI does: in process groups of their own."""
    note(manners, "starts", json.dumps({"pid": os.getpid(), **told}))
    say("Args { " + ", ".join(f"{name}: {value}" for name, value in told.items()) + " }")
    shards = []
    for _ in range(manners.shards):
        shards.append(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], process_group=0))
        note(manners, "shards", str(shards[-1].pid))
    time.sleep(manners.start_seconds)
    if manners.crash_at_start:
        say(manners.crash_at_start)
        os._exit(1)
    while manners.never_ready:
        time.sleep(0.05)
    return shards


def manners_here() -> Manners:
    return Manners(**json.loads(os.environ[MANNERS]))


def note(manners: Manners, name: str, line: str) -> None:
    with (Path(manners.folder) / name).open("a") as file:
        file.write(line + "\n")


def once(manners: Manners, name: str) -> bool:
    """Whether this is the first time in this folder."""
    try:
        (Path(manners.folder) / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
