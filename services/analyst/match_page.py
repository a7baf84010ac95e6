"""The table of what each contrast matches, as text."""

from __future__ import annotations

from dataclasses import dataclass

from services.analyst.match import QUANTITIES
from services.analyst.model import Report
from services.analyst.params import ControlParams
from shared.alike import alike

MATCH_TITLES = (
    "Prompts",
    "Demonstrations",
    "Labels",
    "Training pairs",
    "Gradient steps",
    "Tokens seen",
    "FLOPs, training",
    "FLOPs, sampling",
    "US dollars",
    "Device hours",
    "Samples an answer",
)
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Sides:
    """One quantity of both arms as text; `equal` says that they match."""

    title: str
    a: str
    b: str
    equal: bool


@dataclass(frozen=True)
class MatchRow:
    """One contrast's; `said` is what the recipe of a control holds equal, and what not."""

    name: str
    a: str
    b: str
    primary: bool
    sides: tuple[Sides, ...]
    said: str


def match_titles(report: Report) -> tuple[str, ...]:
    """The table's columns; where every answer is one sample, that goes without saying."""
    alone = all(sides["samples"] == (1, 1) for sides in report.matches.values())
    return MATCH_TITLES[:-1] if alone else MATCH_TITLES


def match_rows(report: Report) -> list[MatchRow]:
    """The contrasts whose arms' recipes are known, the primary first."""
    rows, titles = [], match_titles(report)
    controls = {arm.name: arm.params.control for arm in report.arms}
    for one in report.contrasts:
        name = one.contrast.name
        if name in report.matches and one.contrast.pair is not None:
            found = report.matches[name]
            cells = tuple(_sides(title, *found[of]) for of, title in zip(QUANTITIES, titles, strict=False))
            said = _said(controls[one.contrast.pair[1]], one.contrast.pair[0])
            rows.append(MatchRow(name, *one.contrast.pair, name == report.verdict.contrast, cells, said))
    return sorted(rows, key=lambda row: not row.primary)


def _said(control: ControlParams | None, other: str) -> str:
    """In words, of a control beside its own arm."""
    if control is None or control.of != other:
        return ""
    return f"By recipe the same: {control.equal}. Otherwise: {control.differs}."


def _sides(title: str, a: float | None, b: float | None) -> Sides:
    return Sides(title, _amount(title, a), _amount(title, b), alike(a, b))


def _amount(title: str, value: float | None) -> str:
    if value is None:
        return "?"
    if title.startswith("FLOPs"):
        return _power_of_ten(value) if value else "0"
    if title in ("US dollars", "Device hours"):
        return "0" if value == 0 else f"{value:,.2f}" if value >= 0.01 else f"{value:.2g}"
    return f"{value:,.0f}"


def _power_of_ten(value: float) -> str:
    """`6.4 × 10⁸`."""
    digits, power = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(RAISED)}"
