"""The bandit's figure: policies by action above, the reward that was learned beside the true one below."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.bandit import Bandit, Floats
from services.analyst.svg import INK, MUTED, RULE, SERIES, draw
from services.analyst.wording import number

WIDTH, HEIGHT = 640.0, 420.0
LEFT, RIGHT, BOTTOM, TOP, GAP = 52.0, 14.0, 44.0, 14.0, 30.0
LOWER = 110.0
"""The height of the lower panel, in pixels."""
DASHED = (0, (5, 2))


def bandit_figure(found: Bandit, at: str = "") -> str:
    """An `<svg>`; `at` makes its ids unique within the page."""

    def paint(figure: Figure) -> None:
        across = (LEFT / WIDTH, (WIDTH - LEFT - RIGHT) / WIDTH)
        upper = (BOTTOM + LOWER + GAP) / HEIGHT
        policies = figure.add_axes((across[0], upper, across[1], 1 - upper - TOP / HEIGHT))
        rewards = figure.add_axes((across[0], BOTTOM / HEIGHT, across[1], LOWER / HEIGHT), sharex=policies)
        _policies(policies, found)
        _rewards(rewards, found)

    title = "Bandit: RLAIF from a weak start beside SFT on a strong teacher"
    return draw(WIDTH, HEIGHT, paint, f"{at}bandit", title, description(found))


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


def _rewards(axes: Axes, found: Bandit) -> None:
    """Rewards have no zero of their own, so the learned one is moved to begin where the true one does."""
    _frame(axes, "reward")
    learned = found.weak_start.reward - found.weak_start.reward.min()
    _line(axes, found.true_reward * max(learned.max(), 1e-9), "true, scaled", MUTED, dashed=True)
    _line(axes, learned, "learned from the weak student's pairs", INK)
    axes.set_ylim(top=1.4 * max(learned.max(), 1e-9))
    axes.set_xlabel("action, from the worst to the best", fontsize=11, color=MUTED)
    axes.legend(loc="upper left", fontsize=11, frameon=False, ncols=2)


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
