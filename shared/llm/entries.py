"""Ledger entries: one answer each, one line each; and what a segment of them looks like.

A segment begins with a header line that says its format and whose answers it holds; each further line is an entry.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from shared.canonical import content_key
from shared.llm.chat import Answer, endpoint_of

log = structlog.get_logger()

SCHEMA = "touchstone/ledger/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer in the ledger. `experiment` and `stage` are those that asked first and bear its cost; `usd` is that
    cost at the prices given then, None where none was given, and the most that it can have cost where the endpoint did
    not say what it used; `at` is the time of the answer, seconds since 1970."""

    key: str
    answer: Answer
    usd: float | None = None
    experiment: str = ""
    stage: str = ""
    at: float = 0.0

    def to_line(self) -> bytes:
        """One line of JSON, with its line feed."""
        values = {
            "key": self.key,
            "answer": self.answer.to_json(),
            "usd": self.usd,
            "experiment": self.experiment,
            "stage": self.stage,
            "at": round(self.at, 3),
        }
        # Escaped to ASCII: half a surrogate pair in an answer has no UTF-8, and must not lose the answer.
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> Entry:
        """Raises ValueError, KeyError or TypeError on what `to_line` did not write."""
        values = json.loads(line)
        return cls(**values | {"answer": Answer.from_json(values["answer"])})


@dataclass(frozen=True)
class Scope:
    """The answers of one endpoint and model: a folder of the ledger."""

    name: str
    header: bytes

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> Scope:
        endpoint = endpoint_of(identity)
        header = json.dumps({"schema": SCHEMA, "endpoint": endpoint}, separators=(",", ":")).encode() + b"\n"
        return cls(content_key(endpoint)[:16], header)


def split_lines(data: bytes) -> list[tuple[str, bytes]]:
    """`(key, line)` of each whole entry. A torn line (its writer was killed, or the disk was full) is left out: its
    answer was never used.

    Raises:
        ValueError: another version wrote it, or its header is broken: it may hold more than can be read here.
    """
    header, feed, lines = data[: data.rfind(b"\n") + 1].partition(b"\n")
    if feed and not _is_ours(header):
        raise ValueError(f"it does not begin with the header of {SCHEMA}")
    return list(_entries(lines))


def pack(data: bytes) -> bytes:
    """A segment's object: equal content, equal bytes."""
    return gzip.compress(data[: data.rfind(b"\n") + 1], compresslevel=3, mtime=0)


def unpack(data: bytes) -> bytes:
    """Raises ValueError on what `pack` did not write."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise ValueError(f"not a ledger segment: {error}") from error


def read_whole(data: bytes) -> tuple[bytes, list[tuple[Entry, bytes]]] | None:
    """A segment object's header line and its entries, each with its line; None if any of it cannot be read here."""
    try:
        header, *lines = unpack(data).splitlines(keepends=True)
        if not _is_ours(header):
            return None
        return header, [(Entry.from_line(line), line) for line in lines]
    except (ValueError, KeyError, TypeError):
        return None


def _is_ours(header: bytes) -> bool:
    try:
        found = json.loads(header)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("schema") == SCHEMA


def _entries(lines: bytes) -> Iterator[tuple[str, bytes]]:
    for line in lines.split(b"\n")[:-1]:
        try:
            key = Entry.from_line(line).key
        except (ValueError, KeyError, TypeError):
            log.warning("ledger.broken_line", bytes=len(line))
            continue
        yield key, line
