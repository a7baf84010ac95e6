"""What a stage was made from, back to prompts and base model, and what was made from it.

A commit names the commits that it read, with their hashes; so the way back follows what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.api.kept import Kept
from services.api.planned import Planned
from shared.artifacts import CommitRef, Manifest, commit_prefix, oldest, read_commit
from shared.attempts import Marker
from shared.store import NotFound, ObjectStore

MOST_READ = 64
"""Commits that are read for one lineage, the nearest first; a report is made from all of an experiment's."""
MOST_ATTEMPTS = 50
AT_ONCE = 16
Row = Mapping[str, Any]
"""A stage of an experiment's summary."""
Commit = tuple[CommitRef, Manifest]


@dataclass(frozen=True)
class Source:
    """Something that no stage made: a dataset, a base model, an endpoint's model."""

    what: str
    name: str
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One stage of a lineage. `commit` is None while it is not there, or where it was not read."""

    row: Row
    about: str
    commit: Commit | None

    @property
    def key(self) -> str:
        return str(self.row["key"])

    @property
    def seconds(self) -> float | None:
        """How long the attempt took that is committed."""
        if self.commit is None:
            return None
        began, ended = (datetime.fromisoformat(text) for text in (self.commit[1].started, self.commit[1].finished))
        return (ended - began).total_seconds()


@dataclass(frozen=True)
class Lineage:
    """`made_from` has all that was needed, inputs first; `reads` the keys that the stage itself reads by their names;
    `made_into` what reads it; `attempts` those whose markers are still kept, oldest first."""

    stage: Step
    params: Mapping[str, Any]
    reads: Mapping[str, str]
    sources: tuple[Source, ...]
    made_from: tuple[Step, ...]
    made_into: tuple[Step, ...]
    attempts: tuple[Marker, ...]

    @property
    def rows(self) -> list[Row]:
        """Every stage in it, in the plan's order."""
        return [step.row for step in (*self.made_from, self.stage, *self.made_into)]


class Lineages:
    """Reads lineages; the commits in them, which never change, are kept."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._commits: Kept[Commit] = Kept(4096)

    def of(self, rows: Sequence[Row], planned: Planned | None, key: str) -> Lineage | None:
        """The lineage of one of an experiment's stages; None where it has none of this key. Raises `Outage`."""
        by_key = {str(row["key"]): row for row in rows}
        if key not in by_key:
            return None
        before, after = ancestors(by_key, key), descendants(rows, key)
        commits = self._read(by_key, key)

        def step(row: Row) -> Step:
            about = planned.about(str(row["key"])) if planned is not None else ""
            return Step(row, about, commits.get(str(row["key"])))

        stage = planned.plan.stages.get(key) if planned is not None else None
        needed = [row for row in rows if row["key"] in before]
        return Lineage(
            step(by_key[key]),
            {} if stage is None else stage.params,
            {} if stage is None else stage.inputs,
            tuple(sources_of([*needed, by_key[key]], planned)),
            tuple(step(row) for row in needed),
            tuple(step(row) for row in rows if row["key"] in after),
            tuple(self._attempts(key)),
        )

    def _read(self, rows: Mapping[str, Row], key: str) -> dict[str, Commit]:
        """The commits behind a stage: of each the one that was read, else the one that would be."""
        found: dict[str, Commit] = {}
        front: dict[str, str | None] = {key: None}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while front and len(found) < MOST_READ:
                wanted = dict(list(front.items())[: MOST_READ - len(found)])
                got = dict(zip(wanted, pool.map(self._commit, wanted, wanted.values()), strict=True))
                found |= {one: commit for one, commit in got.items() if commit is not None}
                front = {}
                for one, commit in got.items():
                    if commit is None:
                        front |= dict.fromkeys(rows[one]["inputs"]) if one in rows else {}
                    else:
                        front |= {ref.key: ref.object for ref in commit[1].inputs.values()}
                front = {one: name for one, name in front.items() if one not in found and one not in got}
        return found

    def _commit(self, key: str, name: str | None) -> Commit | None:
        if name is None:
            first = oldest(self._store.list(commit_prefix(key)))
            name = None if first is None else first.name
        try:
            return None if name is None else self._commits.get(name, self._reader(name))
        except NotFound:
            return None

    def _reader(self, name: str) -> Callable[[], Commit]:
        return lambda: read_commit(self._store, name)

    def _attempts(self, key: str) -> list[Marker]:
        """The newest attempts' markers, of all of a stage's units."""
        infos = sorted(self._store.list(f"scratch/{key}/attempts/"), key=lambda info: (info.modified, info.name))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = pool.map(self._marker, [info.name for info in infos[-MOST_ATTEMPTS:]])
            return sorted((one for one in read if one is not None), key=lambda one: one.attempt)

    def _marker(self, name: str) -> Marker | None:
        try:
            return Marker.model_validate_json(self._store.get(name))
        except NotFound:
            return None  # pruned meanwhile


def ancestors(rows: Mapping[str, Row], key: str) -> set[str]:
    """The keys of all that a stage needs."""
    found: set[str] = set()
    todo = list(rows[key]["inputs"])
    while todo:
        one = todo.pop()
        if one not in found and one in rows:
            found.add(one)
            todo.extend(rows[one]["inputs"])
    return found


def descendants(rows: Sequence[Row], key: str) -> set[str]:
    """The keys of all that needs a stage; rows stand in the plan's order, inputs first."""
    found: set[str] = set()
    for row in rows:
        if key in row["inputs"] or found.intersection(row["inputs"]):
            found.add(str(row["key"]))
    return found


def sources_of(rows: Iterable[Row], planned: Planned | None) -> list[Source]:
    """What the stages took from outside, each once."""
    found: dict[str, Source] = {}
    for row in rows:
        stage = planned.plan.stages.get(str(row["key"])) if planned is not None else None
        for source in () if stage is None else _sources(stage.kind, stage.params, stage.options):
            found.setdefault(f"{source.what} {source.name} {source.identity}", source)
    return list(found.values())


def _sources(kind: str, params: Mapping[str, Any], options: Mapping[str, Any]) -> Iterable[Source]:
    name = str(options.get("name", ""))
    if kind == "prompts":
        yield Source("prompts", "", params["source"])
    if kind == "sft" and "model" in params:
        yield Source("base model", str(params["model"].get("hub", "")), params["model"])
    if kind == "rl" and "reward" in params:
        rewards = params["reward"]
        yield Source("reward", str(rewards.get("check") or rewards.get("model", {}).get("hub", "")), rewards)
    if kind == "rl" and "teacher" in params:
        yield Source("teacher", str(params["teacher"].get("hub", "")), params["teacher"])
    if kind == "pretrain":
        yield Source("base model", "made on the spot", params["settings"])
    for role, words in (("model", "teacher"), ("critic", "critic"), ("judge", "judge")):
        if role in params and kind in {"teach", "label", "judge"}:
            yield Source(words, name, params[role])
