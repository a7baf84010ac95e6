"""The length figure of a card: how often the longer completion wins, by how much longer it is."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.critics.concerns import percent
from services.analyst.critics.length import Bin, Length
from services.analyst.svg import ACCENT, INK, MUTED, RULE, draw
from services.analyst.wording import number

WIDTH, HEIGHT = 380.0, 226.0
LEFT, BOTTOM, TOP, RIGHT = 46.0, 62.0, 12.0, 10.0


def length_figure(length: Length, name: str, critic: str) -> str | None:
    """An `<svg>` whose ids begin with `name`; None where no bin has enough pairs."""
    if all(one.win_rate.value is None for one in length.bins):
        return None

    def paint(figure: Figure) -> None:
        size = (
            LEFT / WIDTH,
            BOTTOM / HEIGHT,
            (WIDTH - LEFT - RIGHT) / WIDTH,
            (HEIGHT - BOTTOM - TOP) / HEIGHT,
        )
        axes = figure.add_axes(size)
        _frame(axes, length)
        for place, one in enumerate(length.bins):
            _bin(axes, place, one)

    title = f"Win rate of the longer completion, {critic}"
    return draw(WIDTH, HEIGHT, paint, name, title, _description(length))


def label_of(one: Bin) -> str:
    """`1.25–1.5`, `4+`."""
    return f"{one.low:g}+" if one.high is None else f"{one.low:g}–{one.high:g}"


def _frame(axes: Axes, length: Length) -> None:
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.set_xlim(-0.6, len(length.bins) - 0.4)
    axes.set_ylim(-3, 103)
    axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])
    axes.set_xticks(range(len(length.bins)), [f"{label_of(one)}\n{one.pairs:,}" for one in length.bins])
    axes.tick_params(length=3, labelsize=10)
    axes.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.axhline(50, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlabel("how many times as long as the other (below: pairs)", fontsize=10.5, color=MUTED)


def _bin(axes: Axes, place: int, one: Bin) -> None:
    if one.win_rate.value is None or one.win_rate.interval is None:
        return
    low, high = (100 * end for end in one.win_rate.interval)
    axes.plot([place, place], [low, high], color=ACCENT, linewidth=1.6, solid_capstyle="butt")
    axes.plot([place], [100 * one.win_rate.value], marker="o", markersize=6, color=ACCENT, markeredgecolor=INK, mew=0.6)


def _description(length: Length) -> str:
    said = [
        f"{label_of(one)}: {percent(one.win_rate.value)} of {one.win_rate.n}"
        for one in length.bins
        if one.win_rate.value is not None
    ]
    slope = length.slope.value
    return "; ".join(said) + ("" if slope is None else f". Slope {number(slope, 2)} in log-odds a doubling.")
