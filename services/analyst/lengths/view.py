"""Length as the page shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from services.analyst.intervals import Crossed
from services.analyst.length_control import ArmFigures
from services.analyst.lengths.found import ControlledReport, Lengths, disagreements
from services.analyst.lengths.spread_figure import spread_figures
from services.analyst.lengths.wins_figure import wins_figures
from services.analyst.wording import number

DOUBTFUL = "not to be trusted"
METHODS = {
    "joint": "one fit over all arms",
    "alpaca_eval_minimal": "one fit for each arm, as AlpacaEval’s length_controlled_minimal",
}


@dataclass(frozen=True)
class Row:
    """An arm, or a contrast of arms, without length control and with it, as text."""

    name: str
    length: str
    raw: str
    controlled: str
    change: str
    flag: str


@dataclass(frozen=True)
class Table:
    """One length-controlled evaluation."""

    name: str
    raw: str
    facts: str
    arms: list[Row]
    contrasts: list[Row]
    concerns: list[str]


@dataclass(frozen=True)
class View:
    """What the template needs."""

    shown: str
    spread: list[Markup]
    wins: list[Markup]
    fitted: bool
    tables: list[Table]


def lengths_view(found: Lengths | None, at: str = "") -> View | None:
    """None where there is nothing to show."""
    if found is None:
        return None
    return View(
        shown=found.shown,
        spread=[Markup(svg) for svg in spread_figures(found, at)],
        wins=[Markup(svg) for svg in wins_figures(found, at)],
        fitted=found.drawn_fit is not None,
        tables=[_table(name, one) for name, one in found.controlled.items()],
    )


def _table(name: str, report: ControlledReport) -> Table:
    concerns = [
        # A sentence may begin with an arm's name, which is as it is written.
        (one.text if one.arm else f"{one.text[:1].upper()}{one.text[1:]}")
        + ("." if one.serious else " (for information).")
        for one in report.fit.concerns
    ]
    contrasts = [
        Row(contrast, times(one.length_ratio), _error(one.raw), _error(one.controlled), _error(one.change),
            _flag(disagreements(one), contrast in report.doubtful))
        for contrast, one in report.contrasts.items()
    ]  # fmt: skip
    return Table(name, report.raw or "raw", _facts(report), [_arm(one) for one in report.fit.arms], contrasts, concerns)


def _arm(arm: ArmFigures) -> Row:
    flags = [*([] if arm.trusted else [DOUBTFUL]), *(["reads otherwise"] if arm.disagree else [])]
    return Row(
        arm.name, times(arm.length_ratio), _error(arm.raw), _error(arm.controlled), _error(arm.change), ", ".join(flags)
    )


def _facts(report: ControlledReport) -> str:
    """The fit in a sentence or two."""
    fit = report.fit
    said = f"{METHODS[fit.method]}, {len(fit.weights)} refits on resamples of the prompts"
    if fit.fits is None:
        return f"{said}."
    common, scale = float(fit.fits.slopes[0].mean()), fit.table.scale
    return (
        f"{said}. Being {number(scale, 0)} characters (one SD) longer than the reference goes with "
        f"{number(math.tanh(1) * common, 2)} more log-odds of winning; slopes differ between arms by an SD of "
        f"{number(fit.tau or 0.0, 2)}, prompts’ difficulties by {number(fit.sigma or 0.0, 2)}."
    )


def _flag(found: Iterable[str], doubtful: bool) -> str:
    words = {"level": "other conclusion", "sign": "other sign"}
    return ", ".join([*([DOUBTFUL] if doubtful else []), *(words[one] for one in found)])


def times(ratio: float | None) -> str:
    """How many times as long: `× 1.08`."""
    return "–" if ratio is None or ratio != ratio else f"× {ratio:.2f}"


def _error(error: Crossed) -> str:
    low, high = (number(float(end)) for end in error.bounds())
    return f"{number(float(error.mean))} ({low} to {high})"
