"""What stages like a plan's took before: its own committed ones, and those of the newest experiments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import structlog

from services.api.committed import AT_ONCE, commits_of
from shared.artifacts import Manifest
from shared.errors import BadInput
from shared.estimate.asks import members
from shared.estimate.history import History, Took, likeness, work_of
from shared.experiments import PREFIX, read_resolved
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.store import NotFound, ObjectStore

log = structlog.get_logger()

EXPERIMENTS = 5
"""How many of the newest experiments are looked at."""
EACH = 4
"""How many stages tell of one that is like them."""
MOST = 96
"""How many manifests are read for one plan."""

REMEMBERED = 64
"""How many stages that are like each other are remembered of one experiment."""

Members = Mapping[str, Sequence[tuple[str, float]]]
"""By likeness: keys of stages, with their work."""


def read_history(store: ObjectStore, planned: Plan, counts: Mapping[str, int], done: Mapping[str, str]) -> History:
    """The history that a plan's uncommitted stages need; `done` are its committed keys with their commits' names.

    Raises:
        Outage: the store is away.
    """
    own = [(one, like) for stage in planned.stages.values() for one in (stage, *members(stage))
           if (like := likeness(one, planned)) is not None]  # fmt: skip
    wanted = {like for one, like in own if _stage_of(one.key) not in done}
    found: dict[str, dict[str, float]] = {like: {} for like in sorted(wanted)}
    commits = dict(done)
    for one, like in own:
        if _stage_of(one.key) in done and like in wanted:
            found[like].setdefault(one.key, work_of(one, planned, counts))
    if any(not keys for keys in found.values()):
        elsewhere = [members_of(store, id) for id in newest(store)]  # type: ignore[arg-type]
        keys = {_stage_of(key) for alike in elsewhere for like in wanted for key, _ in alike.get(like, ())}
        commits |= commits_of(store, keys - set(done))
        for alike in elsewhere:
            for like in wanted:
                found[like] |= {key: work for key, work in alike.get(like, ()) if _stage_of(key) in commits}
    chosen = [(like, key, work) for like, keys in found.items() for key, work in list(keys.items())[:EACH]][:MOST]
    seen: dict[str, list[Took]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        manifests = pool.map(lambda one: manifest_at(store, commits[_stage_of(one[1])]), chosen)
        for (like, key, work), manifest in zip(chosen, manifests, strict=True):
            if manifest is not None:
                seen.setdefault(like, []).append(Took.of(manifest, work, key.partition("/")[2]))
    return History(seen)


def _stage_of(key: str) -> str:
    """The stage's key in that of an ensemble's member."""
    return key.partition("/")[0]


def newest(store: ObjectStore) -> Iterable[str]:
    """The ids of the newest experiments, by the store's clock."""
    heads = [info for info in store.list(PREFIX) if info.name.endswith("/experiment.json")]
    heads.sort(key=lambda info: (info.modified, info.name), reverse=True)
    return [info.name.removeprefix(PREFIX).partition("/")[0] for info in heads[:EXPERIMENTS]]


# An experiment's resolved spec never changes.
@lru_cache(maxsize=4 * EXPERIMENTS)
def members_of(store: ObjectStore, id: str) -> Members:
    """An experiment's stages by likeness; none of one that this version cannot plan. Raises `Outage`."""
    alike: dict[str, list[tuple[str, float]]] = {}
    try:
        resolved = read_resolved(store, id)
        if resolved is None:
            return {}
        made = plan(resolved)
        for stage in made.stages.values():
            for one in (stage, *members(stage)):
                if (like := likeness(one, made)) is None:
                    continue
                found = alike.setdefault(like, [])
                if len(found) < REMEMBERED:
                    found.append((one.key, work_of(one, made, resolved.counts)))
    except (BadInput, ValueError, KeyError) as error:
        log.info("plan.history_skipped", experiment=id, error=str(error))
        return {}
    return alike


def manifest_at(store: ObjectStore, name: str) -> Manifest | None:
    """A commit's manifest; None where it is away or not of this version."""
    try:
        return Manifest.from_json(store.get(name))
    except (NotFound, ValueError):
        return None
