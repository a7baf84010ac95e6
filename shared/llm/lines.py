"""Requests that wait to be sent: a line for each experiment, and turns between them."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from shared.llm.chat import Answer, ChatRequest


@dataclass(eq=False, slots=True)
class Slot:
    """The right to send one request. The holder sets `sent` just before, and `answer` if one came: it says what was
    used. `since`: when the tenant's call began that the request is one of; earlier calls go first, so that one is done
    while the next is under way. The rest is the limiter's: what it reserved, the era and slot of the bucket's grant."""

    request: ChatRequest
    tenant: str = ""
    since: float = 0.0
    sent: bool = False
    answer: Answer | None = None
    reserved: int = 0
    grant: tuple[str, int] | None = None
    granted: asyncio.Future[None] | None = None


@dataclass
class Lines:
    """Who waits: a line for each tenant."""

    _lines: dict[str, list[Slot]] = field(default_factory=dict)
    _waiting: set[Slot] = field(default_factory=set)

    def add(self, slot: Slot) -> None:
        insort(self._lines.setdefault(slot.tenant, []), slot, key=lambda other: other.since)
        self._waiting.add(slot)

    def remove(self, slot: Slot) -> None:
        """Take it out, if it is still there; its tenant's next one waits for another turn."""
        if slot not in self._waiting:
            return
        self._waiting.discard(slot)
        line = self._lines.pop(slot.tenant)
        line.remove(slot)
        if line:
            self._lines[slot.tenant] = line

    def in_turn(self) -> Iterator[Slot]:
        """One of each tenant, then the next of each; nobody may be added or taken out before the last one wanted."""
        for turn in zip_longest(*self._lines.values()):
            yield from (slot for slot in turn if slot is not None)

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._waiting

    def __bool__(self) -> bool:
        return bool(self._waiting)
