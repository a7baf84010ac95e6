"""Which requests of a plan are answered in the ledger: looked up in a local index, for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from services.api.committed import AT_ONCE
from shared.errors import Outage
from shared.estimate.answered import Asked
from shared.llm.entries import split_lines, unpack
from shared.llm.index import Index
from shared.llm.ledger import PREFIX
from shared.store import NotFound, ObjectStore

log = structlog.get_logger()

SECONDS = 2.0
"""How long one plan may read segments that the index does not have yet. What was read stays for the next plan."""

MOST_KEYS = 20_000
AT_A_TIME = 1000


@dataclass
class Found:
    """By stage: how many of its requests are answered, or why that is not known."""

    counts: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


def look_up(store: ObjectStore, data_dir: Path, asked: Mapping[str, Asked]) -> Found:
    """Look the requests of a plan's stages up. A model that was never asked has answered none of them.

    Raises:
        Outage: the store is away.
    """
    found, deadline, budget = Found(), time.monotonic() + SECONDS, MOST_KEYS
    scopes = {one.scope for one in asked.values()}
    segments = {scope: [info.name for info in store.list(f"{PREFIX}/{scope}/")] for scope in scopes}
    index = Index(data_dir / "ledger.sqlite")
    try:
        left: dict[str, int] = {}
        for key, one in asked.items():
            if not segments[one.scope]:
                found.counts[key] = 0
            elif one.prompts is None:
                found.unknown[key] = one.reason
            elif (budget := budget - len(one.prompts)) < 0:
                found.unknown[key] = f"no more than {MOST_KEYS:,} requests are looked up"
            else:
                if one.scope not in left:
                    left[one.scope] = _read(store, index, segments[one.scope], deadline)
                if left[one.scope]:
                    found.unknown[key] = f"{left[one.scope]} segments of the ledger are not read yet: plan again"
                else:
                    found.counts[key] = _count(index, one.keys())
    except (Outage, OSError) as error:
        # The local disk is full or not ours to write: an estimate is worth having without this.
        log.warning("plan.index_unusable", error=str(error))
        found.unknown |= {key: "the ledger cannot be read here" for key in asked if key not in found.counts}
    finally:
        index.close()
    return found


def _count(index: Index, keys: list[str]) -> int:
    starts = range(0, len(keys), AT_A_TIME)
    return sum(len(index.lines(keys[start : start + AT_A_TIME])) for start in starts)


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
    try:
        return split_lines(unpack(store.get(name)))
    except (NotFound, ValueError):
        return None
