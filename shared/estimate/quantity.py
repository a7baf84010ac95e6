"""A number that is estimated: what is expected, and the range that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """`low` <= `expected` <= `high`."""

    low: float = 0.0
    expected: float = 0.0
    high: float = 0.0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> Quantity:
        return Quantity(self.low * factor, self.expected * factor, self.high * factor)

    def by(self, other: Quantity) -> Quantity:
        """The product, of what is not below 0."""
        return Quantity(self.low * other.low, self.expected * other.expected, self.high * other.high)

    @property
    def range(self) -> list[float]:
        return [self.low, self.high]


def exactly(value: float) -> Quantity:
    return Quantity(value, value, value)


def observed(totals: Sequence[float], counts: Sequence[float], least: float = 0.1) -> Quantity:
    """A mean per piece of work from several totals: its range is that of the single means, and at least +-`least`."""
    mean = sum(totals) / sum(counts)
    single = [total / count for total, count in zip(totals, counts, strict=True) if count]
    return Quantity(min([*single, mean * (1 - least)]), mean, max([*single, mean * (1 + least)]))
