"""The set of commits, kept in memory: which attempt's commit counts for each key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.artifacts import CommitRef, Manifest, commit_key_of, commit_prefix, read_commit
from shared.plan.model import Plan
from shared.store import ObjectInfo, ObjectStore


class Commits:
    """All commits by key. Listed whole at the start and now and then; one key at a time when a commit is heard of."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._names: dict[str, dict[str, ObjectInfo]] = {}
        self._read: dict[str, tuple[CommitRef, Manifest]] = {}

    def relist(self) -> bool:
        """List all of `commits/`; whether anything was new."""
        return self._add(self._store.list("commits/"))

    def look(self, key: str) -> bool:
        """List one key's commits; whether anything was new."""
        return self._add(self._store.list(commit_prefix(key)))

    def __contains__(self, key: str) -> bool:
        return key in self._names

    def read(self, name: str) -> tuple[CommitRef, Manifest]:
        """A manifest, read once."""
        if name not in self._read:
            self._read[name] = read_commit(self._store, name)
        return self._read[name]

    def accepted(
        self, key: str, inputs: Mapping[str, CommitRef]
    ) -> tuple[tuple[CommitRef, Manifest] | None, tuple[str, ...]]:
        """The commit of `key` that counts, and the stale ones before it.

        It is the oldest (store's clock, then name) whose manifest names the commits that count of all its inputs;
        one that read another is stale, and its stage is run again.
        """
        stale: list[str] = []
        for info in sorted(self._names.get(key, {}).values(), key=lambda info: (info.modified, info.name)):
            ref, manifest = self.read(info.name)
            if all(manifest.inputs.get(name) == given for name, given in inputs.items()):
                return (ref, manifest), tuple(stale)
            stale.append(info.name)
        return None, tuple(stale)

    def _add(self, infos: Iterable[ObjectInfo]) -> bool:
        news = False
        for info in infos:
            names = self._names.setdefault(commit_key_of(info.name), {})
            if info.name not in names:
                names[info.name] = info
                news = True
        return news


class Accepted:
    """The commits that count for one plan's stages, found from the first stage on."""

    def __init__(self, plan: Plan, commits: Commits) -> None:
        self._commits = commits
        self.refs: dict[str, CommitRef] = {}
        self.manifests: dict[str, Manifest] = {}
        self.stale: dict[str, tuple[str, ...]] = {}
        for key, stage in plan.stages.items():
            if key not in commits or any(source not in self.refs for source in stage.inputs.values()):
                continue
            given = {name: self.refs[source] for name, source in stage.inputs.items()}
            found, self.stale[key] = commits.accepted(key, given)
            if found is not None:
                self.refs[key], self.manifests[key] = found

    def shard(self, key: str, inputs: Mapping[str, CommitRef]) -> tuple[CommitRef, Manifest] | None:
        """The commit that counts of a shard."""
        return self._commits.accepted(key, inputs)[0]
