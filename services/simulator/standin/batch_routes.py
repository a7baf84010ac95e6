"""`/v1/files` and `/v1/batches` over a folder. A batch advances when somebody looks at it."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from python_multipart import parse_form
from python_multipart.exceptions import FormParserError

from services.simulator.completions import Refusal
from services.simulator.standin import answers
from services.simulator.standin.batches import ENDPOINT, Outcome, Record, ends, read_rows, run, view
from services.simulator.standin.bill import Tokens
from services.simulator.standin.faults import Faults
from services.simulator.standin.folder import Folder
from services.simulator.traffic import Traffic, content_hash
from services.simulator.wire import LARGEST_BODY, Receive, Scope, parse, read

Answer = tuple[int, Any]
PAGE = 20


class BatchRoutes:
    """Counts what batches answered as requests that arrived: after a restart too."""

    def __init__(self, path: Path, traffic: Traffic) -> None:
        self._folder = Folder(path)
        self._traffic = traffic
        self._calls: Counter[str] = Counter()
        for record in self._folder.batches.values():
            for content in record.outcome.asked if record.outcome else ():
                traffic.arrived(content)

    async def serve(self, scope: Scope, receive: Receive, faults: Faults) -> Answer:
        """Raises `Refusal`."""
        method, parts = scope["method"], scope["path"].removeprefix("/v1/").split("/")
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self._calls[" ".join([method, parts[0], *parts[2:]])] += 1
        match method, parts:
            case "POST", ["files"]:
                most = faults.batches.file_bytes
                return 200, self._upload(scope, await read(receive, most + LARGEST_BODY) or b"", most)
            case "GET", ["files"]:
                return 200, _page(list(self._folder.files.values()), query)
            case "GET", ["files", name]:
                return 200, self._file(name)
            case "GET", ["files", name, "content"]:
                self._file(name)
                return 200, self._folder.content(name)
            case "DELETE", ["files", name]:
                self._file(name)
                self._folder.delete_file(name)
                return 200, {"id": name, "object": "file", "deleted": True}
            case "POST", ["batches"]:
                return 200, self._view(self._create(parse(await read(receive) or b""), faults))
            case "GET", ["batches"]:
                self.advance(faults)
                return 200, _page([self._view(record) for record in self._folder.batches.values()][::-1], query)
            case "GET", ["batches", name]:
                return 200, self._view(self._advance(self._batch(name), faults))
            case "POST", ["batches", name, "cancel"]:
                return 200, self._view(self._cancel(self._advance(self._batch(name), faults)))
        raise Refusal(404, f"There is no {method} {scope['path']} here.", code="not_found")

    def advance(self, faults: Faults) -> None:
        """End all batches whose time has come."""
        for record in list(self._folder.batches.values()):
            self._advance(record, faults)

    def tokens(self) -> Tokens:
        """What all batches that ended used."""
        total = Tokens()
        for record in self._folder.batches.values():
            total = total.plus(record.outcome.tokens) if record.outcome else total
        return total

    def stats(self) -> dict[str, Any]:
        """How often each endpoint was called, by method and path without ids, and how many of each there are."""
        return {"calls": dict(self._calls), "files": len(self._folder.files), "batches": len(self._folder.batches)}

    def _upload(self, scope: Scope, raw: bytes, most: int) -> dict[str, Any]:
        fields: dict[str, bytes] = {}
        names: dict[str, str] = {}

        def on_file(part: Any) -> None:
            part.file_object.seek(0)
            fields["file"], names["file"] = part.file_object.read(), (part.file_name or b"upload").decode()

        def on_field(part: Any) -> None:
            fields[part.field_name.decode()] = part.value or b""

        kind = dict(scope["headers"]).get(b"content-type", b"")
        try:
            parse_form({"Content-Type": kind}, BytesIO(raw), on_field, on_file)
        except FormParserError as error:
            raise Refusal(400, f"Could not parse the multipart form: {error}") from None
        if "purpose" not in fields or "file" not in names:
            raise Refusal(400, "'file' and 'purpose' are required.", "file")
        if len(fields["file"]) > most:
            raise Refusal(413, f"File size limit exceeded. Max size is {most} bytes.", "file")
        return self._folder.add_file(names["file"], fields["purpose"].decode(), fields["file"])

    def _file(self, name: str) -> dict[str, Any]:
        if name not in self._folder.files:
            raise Refusal(404, f"No such File object: {name}", "id", "not_found")
        return self._folder.files[name]

    def _batch(self, name: str) -> Record:
        if name not in self._folder.batches:
            raise Refusal(404, f"No batch found with id '{name}'.", code="not_found")
        return self._folder.batches[name]

    def _create(self, asked: Any, faults: Faults) -> Record:
        if not isinstance(asked, dict) or asked.get("endpoint") != ENDPOINT:
            raise Refusal(400, f"Batches are answered for {ENDPOINT} alone.", "endpoint", "invalid_value")
        source = self._file(str(asked.get("input_file_id")))
        if source["purpose"] != "batch":
            raise Refusal(400, "The input file's purpose must be 'batch'.", "input_file_id", "invalid_purpose")
        rows, errors = read_rows(self._folder.content(source["id"]), ENDPOINT, faults.batches)
        tokens = sum(answers.estimate(row["body"]) for row in rows)
        most = faults.batches.queue_tokens
        self.advance(faults)
        queued = sum(one.tokens for one in self._folder.batches.values() if one.outcome is None)
        if most is not None and queued + tokens > most:
            words = f"Enqueued token limit reached. Limit: {most:,} enqueued tokens. Please try again later."
            errors.append({"code": "token_limit_exceeded", "message": words, "param": None, "line": None})
        record = Record(
            id=f"batch_{uuid.uuid4().hex}",
            input_file_id=source["id"],
            endpoint=ENDPOINT,
            completion_window=str(asked.get("completion_window", "24h")),
            created=time.time(),
            settings=faults.batches.model_dump(),
            rows=0 if errors else len(rows),
            tokens=0 if errors else tokens,
            metadata=asked.get("metadata"),
            errors=errors,
        )
        self._folder.save(record)
        return record

    def _cancel(self, record: Record) -> Record:
        if record.outcome is not None:
            raise Refusal(409, f"Cannot cancel a batch with status '{record.outcome.status}'.", code="conflict")
        if record.cancelled is None:
            record.cancelled = time.time()
            self._folder.save(record)
        return record

    def _advance(self, record: Record, faults: Faults) -> Record:
        """End a batch whose time has come."""
        status, at, _ = ends(record)
        if record.outcome is not None or time.time() < at:
            return record
        if status == "failed":
            record.outcome = Outcome(status, at)
            self._folder.save(record)
            return record
        rows, _ = read_rows(self._folder.content(record.input_file_id), record.endpoint, faults.batches)
        ask = lambda body, came: answers.answer(body, faults, content_hash(body), came) | _head(body, at)  # noqa: E731
        results = run(record, rows, ask, lambda content: self._traffic.counts[content])
        record.outcome = Outcome(
            status,
            at,
            self._result(record, "output", results.output),
            self._result(record, "error", results.errors),
            len(results.output),
            len(results.errors),
            results.tokens,
            results.asked,
        )
        self._folder.save(record)
        for content in results.asked:
            self._traffic.arrived(content)
            self._traffic.ended(content, str(rows[0]["body"].get("model", "")), record.created, 200, True)
        return record

    def _result(self, record: Record, kind: str, lines: list[dict[str, Any]]) -> str | None:
        if not lines:
            return None
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return str(self._folder.add_file(f"{record.id}_{kind}.jsonl", "batch_output", content)["id"])

    def _view(self, record: Record) -> dict[str, Any]:
        return view(record, time.time())


def _head(body: Any, at: float) -> dict[str, Any]:
    return {"id": f"chatcmpl-{content_hash(body)[:24]}", "created": int(at)}


def _page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """A page of a list after the item that `after` names."""
    names = [item["id"] for item in items]
    start = names.index(query["after"]) + 1 if query.get("after") in names else 0
    page = items[start : start + int(query.get("limit", PAGE))]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, "has_more": start + len(page) < len(items), **ends}
