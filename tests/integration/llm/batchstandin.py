"""A provider with OpenAI's Files and Batches endpoints, in a thread: what it is asked for, and what it has done."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.integration.llm.standin import completion

Row = dict[str, Any]


def answered(text: str) -> Row:
    """A row of an output file, without its id."""
    return {"response": {"status_code": 200, "request_id": "r", "body": completion(text)}, "error": None}


def refused(status: int, words: str) -> Row:
    body = {"error": {"message": words}}
    return {"response": {"status_code": status, "request_id": "r", "body": body}, "error": None}


@dataclass
class BatchStandIn:
    """`reply` makes the row of a prompt, given how often it was answered before; a batch ends at a look, as `ending`
    says (None: not yet).

    `before` is called with each call (`POST /v1/batches`) after it took effect and before its answer is sent; `refuse`
    answers in its place.
    """

    url: str = ""
    reply: Callable[[str, int], Row] = lambda prompt, before: answered(f"re: {prompt}")
    ending: str | None = "completed"
    before: Callable[[str], None] = lambda call: None
    refuse: Callable[[str], tuple[int, Any] | None] = lambda call: None
    batches: list[dict[str, Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    uploads: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def upload(self, content: bytes, name: str = "results") -> dict[str, Any]:
        id = f"file-{self.uploads}"
        self.uploads += 1
        self.files[id], self.names[id] = content, name
        return self.file(id)

    def file(self, id: str) -> dict[str, Any]:
        shown = {"object": "file", "bytes": len(self.files[id]), "created_at": 0, "purpose": "batch"}
        return {"id": id, "filename": self.names[id], "status": "processed", **shown}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        rows = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
        self.batches.append(
            {
                "id": f"batch_{len(self.batches)}",
                "object": "batch",
                "created_at": int(time.time()),
                "status": "in_progress",
                "request_counts": {"total": len(rows), "completed": 0, "failed": 0},
                **body,
            }
        )
        return self.batches[-1]

    def look(self, id: str) -> dict[str, Any]:
        batch = next(batch for batch in self.batches if batch["id"] == id)
        if batch["status"] == "cancelling":
            self.end(batch, "cancelled", most=3)
        elif batch["status"] == "in_progress" and self.ending:
            self.end(batch, self.ending)
        return batch

    def end(self, batch: dict[str, Any], status: str, most: int | None = None) -> None:
        """End a batch in this way; a cancelled or expired one has answered `most` requests."""
        good: list[Row] = []
        bad: list[Row] = []
        for line in self.files[batch["input_file_id"]].splitlines()[:most]:
            row = json.loads(line)
            prompt = row["body"]["messages"][-1]["content"]
            done = self.reply(prompt, self.asked[prompt])
            self.asked[prompt] += 1
            ok = (done["response"] or {}).get("status_code") == 200
            (good if ok else bad).append({"id": "x", "custom_id": row["custom_id"], **done})
        for name, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[name] = self.upload(b"".join(json.dumps(row).encode() + b"\n" for row in rows))["id"]
        batch["status"] = status
        batch["request_counts"] |= {"completed": len(good), "failed": len(bad)}

    def handle(self, method: str, path: str, headers: Message, content: bytes) -> Any:
        match method, path.split("?")[0].split("/")[2:]:
            case "POST", ["files"]:
                whole = b"content-type: " + headers["content-type"].encode() + b"\n\n" + content
                parts = BytesParser().parsebytes(whole).get_payload()
                (file,) = [part for part in parts if part.get_filename()]  # type: ignore[union-attr]
                return self.upload(file.get_payload(decode=True), file.get_filename())  # type: ignore[union-attr, arg-type]
            case "GET", ["files"]:
                return {"object": "list", "data": [self.file(id) for id in self.files], "has_more": False}
            case "DELETE", ["files", id]:
                return {"id": id, "object": "file", "deleted": True} if self.files.pop(id, None) is not None else None
            case "GET", ["files", id, "content"]:
                return self.files.get(id)
            case "POST", ["batches"]:
                return self.create(json.loads(content))
            case "GET", ["batches"]:
                return {"object": "list", "data": self.batches[::-1], "has_more": False}
            case "GET", ["batches", id]:
                return self.look(id)
            case "POST", ["batches", id, "cancel"]:
                batch = next(batch for batch in self.batches if batch["id"] == id)
                batch["status"] = "cancelling"
                return batch
            case "POST", ["chat", "completions"]:
                prompt = json.loads(content)["messages"][-1]["content"]
                self.asked[prompt] += 1
                return completion(f"re: {prompt}")
        return None


@contextmanager
def running() -> Iterator[BatchStandIn]:
    stand_in = BatchStandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer("GET")

        def do_POST(self) -> None:
            self.answer("POST")

        def do_DELETE(self) -> None:
            self.answer("DELETE")

        def answer(self, method: str) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            call = f"{method} {self.path.split('?')[0]}"
            with stand_in.lock:
                stand_in.calls[call] += 1
                refusal = stand_in.refuse(call)
                reply = refusal[1] if refusal else stand_in.handle(method, self.path, self.headers, content)
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            stand_in.before(call)
            try:
                self.send_response(refusal[0] if refusal else 200 if reply is not None else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except ConnectionError:
                return

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: pytest's output is for failures."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
