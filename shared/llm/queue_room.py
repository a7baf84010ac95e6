"""What is learnt of a provider's queue, which takes only so many tokens of a model's batches at a time.

By ledger scope (an endpoint's model). What a process forgets with its end, it learns again for nothing: a batch for
which there is no room is refused whole.
"""

from __future__ import annotations

from collections.abc import Collection

from shared.llm.batches import MOST_REQUESTS


class QueueRoom:
    """One process's. Names are those of open batches' objects."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._full: dict[str, frozenset[str]] = {}

    def most(self, scope: str) -> int:
        """Requests that one batch may have."""
        return self._most.get(scope, MOST_REQUESTS)

    def full(self, scope: str, names: Collection[str]) -> bool:
        """Whether all batches are still open that took up the room when there was none."""
        seen = self._full.get(scope)
        return bool(seen and seen <= set(names))

    def refused(self, scope: str, size: int, others: Collection[str]) -> None:
        """There was no room for a batch: too little beside `others`, or in an empty queue for one of this size."""
        self._full[scope] = frozenset(others)
        if not others:
            self._most[scope] = max(1, size // 2)

    def answered(self, scope: str) -> None:
        """A batch came to its end: the next ones may be larger."""
        most = 2 * self._most.get(scope, MOST_REQUESTS)
        self._most[scope] = most
        if most >= MOST_REQUESTS:
            del self._most[scope]
