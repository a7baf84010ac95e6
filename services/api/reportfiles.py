"""Reports as they are read again and again: a committed one never changes, a partial one may at any moment."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

from services.api.pages.figures import Figure, figures
from shared.experiments import partial_report_name
from shared.store import NotFound, ObjectStore

T = TypeVar("T")
JSON, HTML = "report.json", "report.html"


@dataclass
class Kept(Generic[T]):
    """The last few things made from immutable objects, by their names."""

    most: int
    _found: OrderedDict[str, T] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What `name` stands for, made where it is not kept."""
        with self._lock:
            if name in self._found:
                self._found.move_to_end(name)
                return self._found[name]
        made = make()
        with self._lock:
            self._found[name] = made
            while len(self._found) > self.most:
                self._found.popitem(last=False)
        return made


def report_bytes(store: ObjectStore, summary: dict[str, Any], file: str) -> bytes | None:
    """The committed report's file, else the newest partial one's, else None."""
    name = (summary.get("report") or {}).get(file) or partial_report_name(summary["id"], file)
    try:
        return store.get(name)
    except NotFound:
        return None


class Reports:
    """Parsed reports; `html` makes something of the page, once for each committed one."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._data: Kept[dict[str, Any]] = Kept(64)

    def data(self, summary: dict[str, Any]) -> dict[str, Any] | None:
        """The report's JSON; None where there is none yet."""
        return self.made(summary, JSON, self._data, json.loads)

    def made(self, summary: dict[str, Any], file: str, kept: Kept[T], make: Callable[[bytes], T]) -> T | None:
        """What `make` makes of a file of the report."""
        if name := (summary.get("report") or {}).get(file):
            try:
                return kept.get(name, lambda: make(self._store.get(name)))
            except NotFound:
                return None
        data = report_bytes(self._store, summary, file)
        return None if data is None else make(data)


class Figures:
    """The figures of reports, each report's taken out once."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._kept: Kept[dict[str, Figure]] = Kept(16)

    def of(self, summary: dict[str, Any]) -> dict[str, Figure]:
        """By name; empty while there is no report."""
        return self._reports.made(summary, HTML, self._kept, figures) or {}
