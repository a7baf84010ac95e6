"""The bandit's figure: policies by action above, the reward that was learned beside the true one below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.bandit import Bandit, Floats
from services.analyst.svg import INK, MUTED, RULE, SERIES, draw
from services.analyst.wording import number

LEFT, RIGHT, BOTTOM, TOP, GAP = 52.0, 14.0, 44.0, 14.0, 30.0
LOWER = 110.0
"""The height of the lower panel, in pixels."""
DASHED = (0, (5, 2))


@dataclass(frozen=True)
class Layout:
    """The size in pixels; `columns` are those of the lower legend."""

    name: str
    width: float
    height: float
    columns: int


WIDE, NARROW = Layout("wide", 640.0, 420.0, 2), Layout("narrow", 344.0, 400.0, 1)


def bandit_figures(found: Bandit, at: str = "") -> list[str]:
    """The figure for a screen and for a phone."""
    return [bandit_figure(found, layout, at) for layout in (WIDE, NARROW)]


def bandit_figure(found: Bandit, layout: Layout = WIDE, at: str = "") -> str:
    """An `<svg>`; `at` makes its ids unique within the page."""
    width, height = layout.width, layout.height

    def paint(figure: Figure) -> None:
        across = (LEFT / width, (width - LEFT - RIGHT) / width)
        upper = (BOTTOM + LOWER + GAP) / height
        policies = figure.add_axes((across[0], upper, across[1], 1 - upper - TOP / height))
        rewards = figure.add_axes((across[0], BOTTOM / height, across[1], LOWER / height), sharex=policies)
        _policies(policies, found)
        _rewards(rewards, found, layout.columns)

    title = "Bandit: RLAIF from a weak start beside SFT on a strong teacher"
    return draw(width, height, paint, f"{at}bandit-{layout.name}", title, description(found))


def description(found: Bandit) -> str:
    """The figure in words."""
    worth = [
        f"{name} {number(found.value(policy), 2)}"
        for name, policy in (
            ("weak student", found.weak),
            ("RLAIF from it", found.weak_start.policy),
            ("SFT on the strong teacher", found.sft),
            ("strong teacher", found.strong),
            ("RLAIF from the strong teacher", found.strong_start.policy),
        )
    ]
    return f"Expected true reward, 0 to 1: {'; '.join(worth)}."


def _policies(axes: Axes, found: Bandit) -> None:
    _frame(axes, "probability")
    axes.tick_params(labelbottom=False)
    _line(axes, found.weak, "weak student", SERIES[0], dashed=True)
    _line(axes, found.strong, "strong teacher", SERIES[1], dashed=True)
    _line(axes, found.sft, "SFT", SERIES[1])
    _line(axes, found.weak_start.policy, "RLAIF", SERIES[0])
    axes.set_ylim(0, 1.12 * max(policy.max() for policy in (found.weak, found.strong, found.weak_start.policy)))
    axes.legend(loc="upper right", fontsize=11, frameon=False)


def _rewards(axes: Axes, found: Bandit, columns: int) -> None:
    """Rewards have no zero of their own, so the learned one is moved to begin where the true one does."""
    _frame(axes, "reward")
    learned = found.weak_start.reward - found.weak_start.reward.min()
    _line(axes, found.true_reward * max(learned.max(), 1e-9), "true, scaled", MUTED, dashed=True)
    _line(axes, learned, "learned from the weak student's pairs", INK)
    axes.set_ylim(top=(1.4 if columns > 1 else 1.8) * max(learned.max(), 1e-9))
    axes.set_xlabel("action, from the worst to the best", fontsize=11, color=MUTED)
    axes.legend(loc="upper left", fontsize=11, frameon=False, ncols=columns)


def _line(axes: Axes, values: Floats, label: str, colour: str, dashed: bool = False) -> None:
    style = DASHED if dashed else "-"
    axes.plot(np.arange(len(values)), values, color=colour, linewidth=1.8, linestyle=style, label=label)


def _frame(axes: Axes, label: str) -> None:
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=3, labelsize=11)
    axes.grid(color=RULE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", nbins=4)
    axes.set_ylabel(label, fontsize=11, color=MUTED)
