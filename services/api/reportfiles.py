"""Reports as they are read again and again: a committed one never changes, a partial one may at any moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from services.api.kept import Kept
from services.api.pages.figures import Figure, figures
from services.api.voted import Voted
from shared.experiments import partial_report_name
from shared.store import NotFound, ObjectStore

T = TypeVar("T")
JSON, HTML = "report.json", "report.html"


class Reports:
    """The newest report of an experiment: with people's votes in it, as committed, or partial."""

    def __init__(self, store: ObjectStore, voted: Voted) -> None:
        self._store = store
        self._voted = voted
        self._data: Kept[dict[str, Any]] = Kept(64)

    def file(self, summary: dict[str, Any], file: str) -> bytes | None:
        """One of its files as it is; None where there is none yet. Raises `Outage`."""
        newest = self._voted.newest(summary, file)
        return self._get(partial_report_name(summary["id"], file) if newest is None else newest.name)

    def data(self, summary: dict[str, Any]) -> dict[str, Any] | None:
        """The report's JSON; None where there is none yet."""
        return self.made(summary, JSON, self._data, json.loads)

    def made(self, summary: dict[str, Any], file: str, kept: Kept[T], make: Callable[[bytes], T]) -> T | None:
        """What `make` makes of a file of the report, once for each that will not change."""
        newest = self._voted.newest(summary, file)
        if newest is not None:
            try:
                return kept.get(newest.name, lambda: make(self._store.get(newest.name)))
            except NotFound:
                return None
        data = self._get(partial_report_name(summary["id"], file))
        return None if data is None else make(data)

    def _get(self, name: str) -> bytes | None:
        try:
            return self._store.get(name)
        except NotFound:
            return None


class Figures:
    """The figures of reports, each report's taken out once."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._kept: Kept[dict[str, Figure]] = Kept(16)

    def of(self, summary: dict[str, Any]) -> dict[str, Figure]:
        """By name; empty while there is no report."""
        return self._reports.made(summary, HTML, self._kept, figures) or {}
