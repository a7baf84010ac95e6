"""Training curves: losses, the share of pairs ordered right, and the rewards of what a training samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.model import Curve
from services.analyst.svg import MUTED, RULE, SERIES, draw

DASHES: tuple[str | tuple[float, tuple[float, ...]], ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
SMOOTH = 0.1
"""The window of the running mean, as a share of a curve's points."""


@dataclass(frozen=True)
class Panel:
    """One kind of curve: which trainings, which column, and how it is called."""

    step: str
    column: str
    title: str


PANELS = (
    Panel("sft", "loss", "SFT: loss"),
    Panel("rl", "loss", "RL: loss"),
    Panel("rl", "rewards/accuracies", "RL: share of pairs ordered right"),
    Panel("rl", "reward", "RL: mean reward of a step's samples"),
    Panel("reward", "accuracy", "Reward model: share of pairs ordered right"),
)


@dataclass(frozen=True)
class Style:
    """How an arm is drawn: `series` is the number of the page's colour, `dash` that of the dash pattern."""

    series: int
    dash: int


def styles(curves: Sequence[Curve]) -> dict[str, Style]:
    """A colour for each arm; arms past the last colour take another dash."""
    arms = dict.fromkeys(curve.arm for curve in curves)
    return {arm: Style(n % len(SERIES), (n // len(SERIES)) % len(DASHES)) for n, arm in enumerate(arms)}


def figures(curves: Sequence[Curve], width: float, height: float, at: str = "") -> list[tuple[str, str]]:
    """A title and an `<svg>` for each panel that has a curve; `at` makes their ids unique within the page."""
    chosen = styles(curves)
    drawn = []
    for number, panel in enumerate(PANELS):
        members = [curve for curve in curves if curve.step == panel.step and _points(curve, panel.column)[0].size]
        if members:
            drawn.append((panel.title, _figure(panel, members, chosen, width, height, f"{at}curve{number}")))
    return drawn


def _figure(
    panel: Panel, members: Sequence[Curve], chosen: dict[str, Style], width: float, height: float, name: str
) -> str:
    def paint(figure: Figure) -> None:
        left, bottom, top = 44, 42, 12
        size = (left / width, bottom / height, (width - left - 12) / width, (height - bottom - top) / height)
        axes = figure.add_axes(size)
        _frame(axes)
        for curve in members:
            steps, values = _points(curve, panel.column)
            style = chosen[curve.arm]
            colour = SERIES[style.series]
            axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.28)
            axes.plot(steps, smoothed(values), color=colour, linewidth=1.8, linestyle=DASHES[style.dash])

    arms = ", ".join(dict.fromkeys(curve.arm for curve in members))
    return draw(width, height, paint, name, panel.title, f"{panel.title} by training step, for {arms}.")


def _frame(axes: Axes) -> None:
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=3, labelsize=11)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.locator_params(axis="y", nbins=5)
    axes.set_xlabel("step", fontsize=11, color=MUTED)


def _points(curve: Curve, column: str) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """Steps and values where both are finite."""
    pairs = [
        (step, value)
        for step, value in zip(curve.columns["step"], curve.columns.get(column, []), strict=False)
        if step is not None and value is not None and np.isfinite(value)
    ]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def smoothed(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A centred running mean; at the ends over what is there."""
    half = max(0, round(SMOOTH * len(values) / 2))
    total = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    return np.asarray((total[high] - total[low]) / (high - low))
