"""Compaction: many small segments of a scope become one, which is written and read back before they are deleted.

Harmless at any moment: a crash leaves entries twice, two compactors at once write them twice, and of equal keys the
oldest answer counts wherever it lies. A reader that meets a vanished segment lists again; the new one's name is the
last of all, so that a listing which misses the old ones cannot miss it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from ulid import ULID

from shared.errors import Outage
from shared.llm.entries import Entry, pack, read_whole
from shared.store import NotFound, ObjectInfo, ObjectStore

log = structlog.get_logger()

SMALL = 256 * 1024
"""Bytes, packed: larger segments are left as they are."""
ENOUGH = 64
"""More small segments than this are worth the work."""
AT_ONCE = 2 * 1024 * 1024
"""Bytes, packed, that one new segment is made of; it takes some fifteen times as much memory while it is made."""
SETTLED = timedelta(minutes=5)
"""How old a segment must be: the newest ones are what others are reading now."""


def crowded(segments: Iterable[ObjectInfo], now: datetime | None = None) -> list[list[ObjectInfo]]:
    """The small, settled segments of a listing in groups that may each become one; none where they are few."""
    settled = (now or datetime.now(UTC)) - SETTLED
    small = [info for info in segments if info.size < SMALL and info.modified < settled]
    if len(small) <= ENOUGH:
        return []
    groups: list[list[ObjectInfo]] = [[]]
    size = 0
    for info in small:
        if size + info.size > AT_ONCE:
            groups.append([])
            size = 0
        groups[-1].append(info)
        size += info.size
    return [group for group in groups if len(group) > 1]


def compact(store: ObjectStore, group: Sequence[ObjectInfo]) -> str | None:
    """Make one segment of a group's; returns its name, or None where another compactor was faster.

    Raises:
        Outage: the store is away, or did not give back what was written; nothing is lost.
    """
    header, readable, entries = b"", [], []
    for info in group:
        try:
            found = read_whole(store.get(info.name))
        except NotFound:
            return None
        # What a newer version wrote, or a disk broke, is not ours to delete.
        if found is not None:
            header = header or found[0]
            readable.append(info.name)
            entries += found[1]
    if len(readable) < 2:
        return None
    data = pack(header + b"".join(_oldest(entries)))
    name = f"{group[0].name.rpartition('/')[0]}/{ULID()}.jsonl.gz"
    store.put(name, data)
    if store.get(name) != data:
        raise Outage(f"object store: {name} is not what was written")
    store.delete(readable)
    log.info("ledger.compacted", segment=name, segments=len(readable), bytes=len(data))
    return name


def _oldest(entries: Iterable[tuple[Entry, bytes]]) -> list[bytes]:
    """One line of each key, the oldest answer's, in the order in which the keys came."""
    found: dict[str, tuple[Entry, bytes]] = {}
    for entry, line in entries:
        if entry.key not in found or entry.at < found[entry.key][0].at:
            found[entry.key] = entry, line
    return [line for _, line in found.values()]
