"""The units of scores, and how numbers in each are read. Standard library alone: the API's image has no numpy."""

from __future__ import annotations

from dataclasses import dataclass

POINTS = "points"
"""Percent, 0 to 100: a win rate, or the share that is right."""
OF_TEN = "points of 10"
"""MT-Bench's ratings, 1 to 10, as they are published."""
REWARD = "reward"
"""A reward model's output, on a scale of its own without ends."""
ELO = "Elo"
"""An arena's ratings."""


@dataclass(frozen=True)
class Scale:
    """How a unit's numbers are read: decimals, and the words for one and for several."""

    digits: int
    one: str
    many: str

    def number(self, value: float) -> str:
        """A number as it is read: `−3.1`; never `-0.0`."""
        text = f"{value:.{self.digits}f}"
        return (f"{0:.{self.digits}f}" if float(text) == 0 else text).replace("-", "−")

    def amount(self, value: float) -> str:
        """`1.0 point`, `2.5 points`, `0.31 points of 10`, without a sign."""
        text = self.number(abs(value))
        return f"{text} {self.one if float(text) == 1 else self.many}"


SCALES = {
    POINTS: Scale(1, "point", "points"),
    OF_TEN: Scale(2, "point of 10", "points of 10"),
    REWARD: Scale(3, "unit of reward", "units of reward"),
    ELO: Scale(0, "Elo", "Elo"),
}


def scale_of(unit: str) -> Scale:
    """A unit's scale; one that is not known here is called by its own name."""
    named = unit.removeprefix("-")
    return SCALES.get(unit) or Scale(3, named, named)
