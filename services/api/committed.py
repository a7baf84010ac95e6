"""Which of a plan's stages are committed: asked of the store by prefix, at most 256 listings for any plan."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from shared.artifacts import commit_key_of, oldest
from shared.store import ObjectInfo, ObjectStore

AT_ONCE = 16


def commits_of(store: ObjectStore, keys: Iterable[str]) -> dict[str, str]:
    """Those of `keys` that have a commit, with its object's name. Raises `Outage`."""
    wanted = set(keys)
    prefixes = sorted({f"commits/{key[:2]}/" for key in wanted})
    found: dict[str, list[ObjectInfo]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for there in pool.map(lambda prefix: list(store.list(prefix)), prefixes):
            for info in there:
                if (key := commit_key_of(info.name)) in wanted:
                    found.setdefault(key, []).append(info)
    return {key: first.name for key, infos in found.items() if (first := oldest(infos)) is not None}
