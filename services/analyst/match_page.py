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
    "Trials on dev",
)
SAMPLES, TRIALS = "samples", "trials"
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
    """The quantities that are shown: where every answer is one sample, or nothing was tried, that goes unsaid."""
    return tuple(title for _, title in _shown(report))


def _shown(report: Report) -> list[tuple[str, str]]:
    unsaid = {SAMPLES: 1, TRIALS: 0}
    sides = report.matches.values()
    left_out = {of for of, usual in unsaid.items() if all(one[of] == (usual, usual) for one in sides)}
    return [(of, title) for of, title in zip(QUANTITIES, MATCH_TITLES, strict=True) if of not in left_out]


def match_rows(report: Report) -> list[MatchRow]:
    """The contrasts whose arms' recipes are known, the primary first."""
    rows = []
    shown = _shown(report)
    controls = {arm.name: arm.params.control for arm in report.arms}
    for one in report.contrasts:
        name = one.contrast.name
        if name in report.matches and one.contrast.pair is not None:
            found = report.matches[name]
            cells = tuple(_sides(title, *found[of]) for of, title in shown)
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
