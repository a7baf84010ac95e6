"""The ledger, as one plan looks into it: through a local index, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import structlog

from services.api.committed import AT_ONCE
from shared.errors import Outage
from shared.estimate.answered import Asked
from shared.llm.chat import Answer
from shared.llm.entries import Entry, split_lines, unpack
from shared.llm.index import Index
from shared.llm.ledger import PREFIX
from shared.store import NotFound, ObjectStore

log = structlog.get_logger()
T = TypeVar("T")

SECONDS = 2.0
"""How long one plan may read segments that the index does not have yet. What was read stays for the next plan."""

MOST_KEYS = 100_000
AT_A_TIME = 1000
UNREADABLE = "the ledger cannot be read here"


@dataclass
class Found:
    """By stage: how many of its requests are answered, and why that is not known, of all or of some."""

    counts: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


class Ledgered:
    """Answers in the ledger. A model that was never asked has answered nothing."""

    def __init__(self, store: ObjectStore, data_dir: Path) -> None:
        self._store = store
        self._index = Index(data_dir / "ledger.sqlite")
        self._until = time.monotonic() + SECONDS
        self._segments: dict[str, list[str]] = {}
        self._blocked: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()

    def empty(self, scope: str) -> bool:
        """Whether the model of this scope has answered nothing. Raises `Outage` where the store is away."""
        if scope not in self._segments:
            self._segments[scope] = [info.name for info in self._store.list(f"{PREFIX}/{scope}/")]
        return not self._segments[scope]

    def blocked(self, scope: str) -> str:
        """Why the answers of a scope cannot be looked up now; empty where they can."""
        if scope not in self._blocked and not self.empty(scope):
            left = self._tried(lambda: _read(self._store, self._index, self._segments[scope], self._until))
            waiting = f"{left} segments of the ledger are not read yet: plan again" if left else ""
            self._blocked[scope] = UNREADABLE if left is None else waiting
        return self._blocked.get(scope, "")

    def answers(self, keys: Sequence[str]) -> dict[str, Answer] | None:
        """The answers to the requests with these keys that are there; None where the index cannot be read."""
        lines = self._tried(lambda: list(_lines_of(self._index, keys)))
        if lines is None:
            return None
        entries = [Entry.from_line(line) for line in lines]
        return {entry.key: entry.answer for entry in entries}

    def count(self, keys: Sequence[str]) -> int | None:
        """How many of these requests are answered; None where the index cannot be read."""
        return self._tried(lambda: len(_lines_of(self._index, keys)))

    def _tried(self, work: Callable[[], T]) -> T | None:
        # The local disk is full or not ours to write: an estimate is worth having without this.
        try:
            return work()
        except (Outage, OSError) as error:
            log.warning("plan.index_unusable", error=str(error))
            return None


def look_up(ledger: Ledgered, asked: Mapping[str, Asked]) -> Found:
    """Look the requests of a plan's stages up.

    Raises:
        Outage: the store is away.
    """
    found, budget = Found(), MOST_KEYS
    for key, one in asked.items():
        if ledger.empty(one.scope):
            found.counts[key] = 0
            continue
        if one.later:
            found.unknown[key] = one.reason if not one.known else f"of {one.later:,} requests: {one.reason}"
        if one.later and not one.known:
            continue
        if (budget := budget - one.known) < 0:
            found.unknown[key] = f"no more than {MOST_KEYS:,} requests are looked up"
        elif why := ledger.blocked(one.scope):
            found.unknown[key] = why
        elif (count := ledger.count(one.keys())) is None:
            found.unknown[key] = UNREADABLE
        else:
            found.counts[key] = count
    return found


def _lines_of(index: Index, keys: Sequence[str]) -> list[bytes]:
    starts = range(0, len(keys), AT_A_TIME)
    return [line for start in starts for line in index.lines(keys[start : start + AT_A_TIME])]


def _read(store: ObjectStore, index: Index, segments: list[str], deadline: float) -> int:
    """Take the missing segments in until the deadline; returns how many are left."""
    missing = index.missing(segments)
    for start in range(0, len(missing), AT_ONCE):
        if time.monotonic() > deadline:
            return len(missing) - start
        batch = missing[start : start + AT_ONCE]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, lines in zip(batch, pool.map(lambda name: _lines(store, name), batch), strict=True):
                if lines is not None:
                    index.add(lines, name)
    return 0


def _lines(store: ObjectStore, name: str) -> list[tuple[str, bytes]] | None:
    """A segment's entries; None of one that is gone (its entries are in a newer one) or broken."""
    with suppress(NotFound, ValueError):
        return split_lines(unpack(store.get(name)))
    return None
