"""The stand-in's files and batches in a folder: what they are survives a restart."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from services.simulator.standin.batches import Record, as_json, to_record


class Folder:
    """One JSON a file and a batch; a file's content lies beside it. Writes are whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._files, self._batches = path / "files", path / "batches"
        for folder in (self._files, self._batches):
            folder.mkdir(parents=True, exist_ok=True)
        made = [to_record(json.loads(path.read_bytes())) for path in self._batches.glob("*.json")]
        self.batches = {record.id: record for record in sorted(made, key=lambda record: record.created)}
        read = [json.loads(path.read_bytes()) for path in self._files.glob("*.json")]
        read.sort(key=lambda file: file["created_at"])
        self.files: dict[str, dict[str, Any]] = {file["id"]: file for file in read}

    def add_file(self, filename: str, purpose: str, content: bytes) -> dict[str, Any]:
        name = f"file-{uuid.uuid4().hex}"
        file = {
            "id": name,
            "object": "file",
            "bytes": len(content),
            "created_at": int(time.time()),
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
        }
        _write(self._files / name, content)
        _write(self._files / f"{name}.json", json.dumps(file).encode())
        self.files[name] = file
        return file

    def content(self, name: str) -> bytes:
        return (self._files / name).read_bytes()

    def delete_file(self, name: str) -> None:
        """Its content stays: a batch may still need it."""
        del self.files[name]
        (self._files / f"{name}.json").unlink()

    def save(self, record: Record) -> None:
        """Add or replace a batch."""
        _write(self._batches / f"{record.id}.json", json.dumps(as_json(record)).encode())
        self.batches[record.id] = record


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
