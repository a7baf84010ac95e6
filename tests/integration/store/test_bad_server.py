"""An S3 server that is there and gives bad answers: each is an outage, and never a short or empty object."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from shared import store as store_module
from shared.errors import Outage
from shared.store import S3Store

CALLS: dict[str, Any] = {
    "get": lambda store, path: store.get("a"),
    "get_file": lambda store, path: store.get_file("a", path),
    "put": lambda store, path: store.put("a", b"x"),
    "exists": lambda store, path: store.exists("a"),
    "list": lambda store, path: list(store.list("a")),
    "delete": lambda store, path: store.delete(["a"]),
}


@dataclass
class Bad:
    """What it answers to everything; `length` is what it claims the body's length to be."""

    port: int = 0
    status: int = 200
    body: bytes = b""
    length: int = 0


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bad]:
    told = Bad()
    monkeypatch.setattr(store_module, "RETRIES", urllib3.Retry(total=1, backoff_factor=0, status_forcelist=[500, 503]))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(told.status)
            self.send_header("content-type", "application/xml")
            self.send_header("content-length", str(told.length or len(told.body)))
            self.send_header("last-modified", "Sat, 01 Jan 2000 00:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told.body)

        do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: pytest's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()


def connected(bad: Bad) -> S3Store:
    return S3Store(f"http://127.0.0.1:{bad.port}", "key", "secret", "bucket")


@pytest.mark.parametrize("status", [500, 503, 507])
@pytest.mark.parametrize("call", CALLS)
def test_a_server_error_is_an_outage(bad: Bad, tmp_path: Path, call: str, status: int) -> None:
    bad.status = status
    with pytest.raises(Outage):
        CALLS[call](connected(bad), tmp_path / "file")


@pytest.mark.parametrize("call", ["get", "get_file", "list"])
def test_an_answer_that_is_cut_off_is_an_outage(bad: Bad, tmp_path: Path, call: str) -> None:
    bad.body, bad.length = b"only the beginn", 1000
    with pytest.raises(Outage):
        CALLS[call](connected(bad), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["list", "delete"])
def test_an_answer_that_is_no_xml_is_an_outage(bad: Bad, tmp_path: Path, call: str) -> None:
    bad.body = b"<html><p>The service is being maintained."
    with pytest.raises(Outage):
        CALLS[call](connected(bad), tmp_path / "file")
