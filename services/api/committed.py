"""Which of a plan's stages are committed: asked of the store by prefix, at most 256 listings for any plan."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from shared.artifacts import commit_key_of
from shared.store import ObjectStore

AT_ONCE = 16


def committed_keys(store: ObjectStore, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that have a commit. Raises `Outage`."""
    wanted = set(keys)
    prefixes = sorted({f"commits/{key[:2]}/" for key in wanted})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda prefix: [commit_key_of(info.name) for info in store.list(prefix)], prefixes)
        return {key for keys_there in found for key in keys_there} & wanted
