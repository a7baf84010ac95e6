"""Multipart uploads straight to disk, with a limit: memory never holds more than a piece of a file."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.api.problems import Problem, TooLarge
from shared.errors import BadInput

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

LARGEST_FIELD = 64 * 1024
MOST_PARTS = 1000


@dataclass
class Upload:
    """A form's fields and files; a file's name is as the client gave it, and is never used as a path here."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[tuple[str, str, Path]] = field(default_factory=list)
    """`(field, name, where it lies)`."""

    def one(self, name: str) -> str:
        """A field that must be there once. Raises `BadInput`."""
        if len(values := self.fields.get(name, [])) != 1:
            raise BadInput(name, "is missing" if not values else "is given twice", f"Send the form field {name} once.")
        return values[0]

    def only(self, fields: Collection[str], files: Collection[str]) -> None:
        """Raise `BadInput` if anything else was sent: a misspelt field would be left out of account."""
        sent = [(name, fields) for name in self.fields] + [(name, files) for name, _, _ in self.files]
        for name, known in sent:
            if name not in known:
                what = "a file" if known is files else "a field"
                raise BadInput(name or "body", f"is not {what} of this form", f"Send {', '.join([*fields, *files])}.")

    def maybe(self, name: str) -> str | None:
        """A field that may be there once."""
        return self.one(name) if name in self.fields else None


@asynccontextmanager
async def receive(request: Request, folder: Path, limit: int, setting: str) -> AsyncIterator[Upload]:
    """Receive a form; its files lie under `folder` until the block ends.

    Raises:
        Problem: 413 over `limit` bytes altogether, 415 where it is no form, 422 where the form is broken.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise Problem(415, "send a multipart/form-data form")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge("file", limit, setting)
    own = folder / "uploads" / uuid.uuid4().hex
    own.mkdir(parents=True)
    writer = _Writer(own)
    try:
        await _feed(request, options[b"boundary"], writer, limit, setting)
        yield writer.upload
    finally:
        writer.close()
        shutil.rmtree(own, ignore_errors=True)


async def _feed(request: Request, boundary: bytes, writer: _Writer, limit: int, setting: str) -> None:
    received = 0
    try:
        parser = MultipartParser(boundary, writer.callbacks())
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise TooLarge("file", limit, setting)
            await to_thread.run_sync(parser.write, chunk)
        parser.finalize()
    except FormParserError as error:
        raise BadInput("body", f"the form is broken: {error}", "Send multipart/form-data.") from None
    writer.close()
    if not writer.ended:
        raise BadInput("body", "the form ends in the middle: its last boundary is missing", "Send it whole.")


class _Writer:
    """The parser's callbacks: fields into memory, files onto disk."""

    def __init__(self, folder: Path) -> None:
        self.upload = Upload()
        self._folder = folder
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._name = ""
        self._text: bytearray | None = None
        self._file: BufferedWriter | None = None
        self._parts = 0
        self.ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadInput("body", f"the form has more than {MOST_PARTS} parts", "Send fewer files.")
        self._disposition = self._header = self._value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text("body", options.get(b"name", b""))
        if b"filename" in options:
            path = self._folder / str(self._parts)
            self.upload.files.append((self._name, _text(self._name, options[b"filename"]), path))
            self._file = path.open("wb")
        else:
            self._text = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        elif self._text is not None:
            self._text += data[start:end]
            if len(self._text) > LARGEST_FIELD:
                raise BadInput(self._name, f"is longer than {LARGEST_FIELD} bytes", "Send it as a file.")

    def _end(self) -> None:
        if self._text is not None:
            self.upload.fields.setdefault(self._name, []).append(_text(self._name, bytes(self._text)))
            self._text = None
        self.close()

    def _finish(self) -> None:
        self.ended = True


def _text(field: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadInput(field, "is not UTF-8", "Send it as UTF-8.") from None
