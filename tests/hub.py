"""A stand-in for the Hugging Face hub's HTTP API, which huggingface_hub's own client is pointed at."""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

COMMIT = "a" * 40
AWAY = "http://127.0.0.1:9"
KINDS = {"model": "", "dataset": "datasets/"}


def point_at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let huggingface_hub, which read HF_ENDPOINT when it was imported, ask this one."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")


@dataclass
class Repository:
    """One repository at one commit, with what branches and tags stand for it."""

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = True
    sha: str = COMMIT
    names: tuple[str, ...] = ("main",)


class Hub:
    """Serves `repositories`, by `kind/owner/name`, from a thread; keeps what is committed to them."""

    def __init__(self, refuse: int = 0) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[str] = []
        self.refuse = refuse
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.owner.asked.append(f"{self.command} {path}")
        if self.owner.refuse:
            self._json({"error": "no"}, self.owner.refuse)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := re.fullmatch(
            r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree|preupload|commit)/(.+))?", path
        ):
            self._api(match[1], match[2], match[3], match[4], body)
        elif match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file("dataset" if match[1] else "model", match[2], match[3], match[4])
        else:
            self._json({"error": "not found"}, 404)

    def _create(self, given: dict[str, Any]) -> None:
        kind = given.get("type") or "model"
        name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
        private = bool(given.get("private") or given.get("visibility") == "private")
        known = f"{kind}/{name}" in self.owner.repositories
        self.owner.repositories.setdefault(f"{kind}/{name}", Repository(private=private))
        self._json({"url": f"{self.owner.endpoint}/{KINDS[kind]}{name}"}, 409 if known else 200)

    def _api(self, kind: str, name: str, verb: str | None, revision: str | None, body: bytes) -> None:
        found = self.owner.repositories.get(f"{kind}/{name}")
        if found is None:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif verb == "preupload":
            files = json.loads(body)["files"]
            self._json(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]}
            )
        elif verb == "commit":
            for line in body.decode().splitlines():
                if (one := json.loads(line))["key"] == "file":
                    found.files[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
            self._json({"commitOid": found.sha, "commitUrl": f"{self.owner.endpoint}/{name}/commit/{found.sha}"})
        elif revision is not None and revision not in (*found.names, found.sha):
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif verb == "tree":
            sizes = sorted((file, len(data)) for file, data in found.files.items())
            self._json([{"type": "file", "path": file, "size": size, "oid": "0" * 40} for file, size in sizes])
        else:
            siblings = [{"rfilename": file, "size": len(data)} for file, data in found.files.items()]
            self._json({"id": name, "sha": found.sha, "private": found.private, "siblings": siblings, "tags": []})

    def _file(self, kind: str, name: str, revision: str, file: str) -> None:
        found = self.owner.repositories.get(f"{kind}/{name}")
        data = None if found is None or revision != found.sha else found.files.get(file)
        if found is None or data is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{hash(data) & 0xFFFFFFFF:040x}"', "X-Repo-Commit": found.sha}
        self._send(data, 200, "application/octet-stream", headers)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, "application/json", headers or {})

    def _send(self, data: bytes, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
