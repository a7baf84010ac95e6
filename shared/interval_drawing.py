"""Where the primary contrast's interval, zero and delta lie in a drawing; the page and the report draw it alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drawing:
    """Places along the width, in percent. `anchors` are those of the three numbers under the bar."""

    zero: float
    delta: float
    low: float
    high: float
    estimate: float

    @property
    def width(self) -> float:
        return max(0.4, self.high - self.low)


LEFT, RIGHT = 24.0, 76.0
"""Delta stays between them, so that there is room for words on both of its sides."""
MARGIN = 7.0


def place(estimate: float, low: float, high: float, delta: float) -> Drawing:
    """Where everything lies on an axis that holds the interval, zero and delta."""
    ends = (low, high, 0.0, delta)
    start, stop = min(ends), max(ends)
    span = (stop - start) or 0.5
    start, stop = start - span * MARGIN / 100, stop + span * MARGIN / 100
    # Widen one side until delta is where words fit beside it.
    start = min(start, delta - (stop - delta) * LEFT / (100 - LEFT))
    stop = max(stop, delta + (delta - start) * (100 - RIGHT) / RIGHT)

    def at(value: float) -> float:
        return round(100 * (value - start) / (stop - start), 2)

    return Drawing(at(0.0), at(delta), at(low), at(high), at(estimate))
