"""Many lines as one path: an artist for each would make a figure slow to draw, and the page heavy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes

GAP = float("nan")


class Strokes:
    """Lines to be drawn alike."""

    def __init__(self) -> None:
        self._xs: list[float] = []
        self._ys: list[float] = []

    def add(self, xs: Iterable[float], ys: Iterable[float]) -> None:
        """One more line, through these points."""
        self._xs += [*map(float, xs), GAP]
        self._ys += [*map(float, ys), GAP]

    def draw(self, axes: Axes, **style: Any) -> None:
        """All of them."""
        axes.plot(self._xs, self._ys, **{"solid_capstyle": "butt", **style})
