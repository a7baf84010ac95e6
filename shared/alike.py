"""When two amounts count as the same: one rule for the report and the page."""

from __future__ import annotations

ALIKE = 0.05
"""Two sides that differ by less than such a share of the larger count as matched."""


def alike(a: float | None, b: float | None) -> bool:
    """Whether both are known and about as large."""
    return a is not None and b is not None and abs(a - b) <= ALIKE * max(abs(a), abs(b))
