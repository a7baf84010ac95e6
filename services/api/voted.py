"""People's votes as the API has them, and which report is the newest: the committed one, or that with votes in it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import kombu.exceptions
import redis
import structlog
from celery import Celery

from services.api.kept import Kept
from shared.experiments import PREFIX
from shared.human import READ_AT_ONCE, Ballots, Cast, count, read_object, report_name, reports_prefix, votes_prefix
from shared.queues import send_voted
from shared.store import ObjectInfo, ObjectStore

log = structlog.get_logger()

JSON = "report.json"
ASK_EVERY_MS = 3000
"""A report with votes is asked for no more often than this: the analyst may be at it."""


@dataclass(frozen=True)
class Newest:
    """A report's file: the object's name, and whether it has all votes until now."""

    name: str
    whole: bool


class Voted:
    """Reads votes, each object once, and lets the analyst make the report anew where it lacks some."""

    def __init__(self, store: ObjectStore, client: redis.Redis, app: Celery) -> None:
        self._store = store
        self._redis = client
        self._app = app
        self._objects: Kept[tuple[Cast, ...]] = Kept(20_000)

    def ballots(self, id: str) -> Ballots:
        """All votes on an experiment. Raises `Outage`."""
        names = sorted(info.name for info in self._store.list(votes_prefix(id)))
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            return count(pool.map(self._read, names), names)

    def newest(self, summary: Mapping[str, Any], file: str) -> Newest | None:
        """The newest file of a finished experiment's report; None before there is a committed one. Raises `Outage`.

        The report with all votes may not be made yet: then it is asked for, and the one before is the newest.
        """
        id, committed = summary["id"], summary.get("report") or {}
        if file not in committed or JSON not in committed:
            return Newest(committed[file], True) if file in committed else None
        there = list(self._store.list(f"{PREFIX}{id}/human/"))
        votes = [info.name for info in there if info.name.startswith(votes_prefix(id))]
        if not votes:
            return Newest(committed[file], True)
        made = {info.name: info for info in there if info.name.startswith(reports_prefix(id))}
        if report_name(id, committed[JSON], votes, JSON) in made:
            return Newest(report_name(id, committed[JSON], votes, file), True)
        self.ask(id)
        before = max((info for name, info in made.items() if name.endswith(f"/{JSON}")), key=_age, default=None)
        return Newest(committed[file] if before is None else before.name.removesuffix(JSON) + file, False)

    def ask(self, id: str) -> None:
        """Let the analyst make the report with votes; at most once in a few seconds."""
        if not self._redis.set(f"voted:{id}", 1, nx=True, px=ASK_EVERY_MS):
            return
        try:
            send_voted(self._app, {"experiment": id})
        except (kombu.exceptions.OperationalError, redis.RedisError, OSError) as error:
            log.warning("voted.not_asked", experiment=id, error=str(error))

    def _read(self, name: str) -> tuple[Cast, ...]:
        return self._objects.get(name, lambda: read_object(self._store, name))


def _age(info: ObjectInfo) -> Any:
    return info.modified, info.name
