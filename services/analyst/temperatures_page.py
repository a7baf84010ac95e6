"""The table of temperatures: each arm's scores side by side, what dev said of each, and which one was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.analyst.model import ArmEstimate, Report
from services.analyst.temperatures import Chosen
from services.analyst.wording import number


@dataclass(frozen=True)
class TemperatureCell:
    """An arm at one temperature: its eval score, and what it scored on dev."""

    value: str
    error: str
    dev: str
    chosen: bool


@dataclass(frozen=True)
class TemperatureRow:
    """An arm; `best` is its score at the chosen temperature, `at` that temperature."""

    arm: str
    cells: tuple[TemperatureCell, ...]
    best: str
    error: str
    at: str


@dataclass(frozen=True)
class TemperatureTable:
    """One choice among temperatures; `columns` are the temperatures."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[TemperatureRow, ...]
    prompts: int


def temperature_tables(report: Report) -> list[TemperatureTable]:
    """A table for each evaluation whose temperatures are chosen on dev, as far as that is judged."""
    return [_table(report, name, of) for name, of in report.choices.items()]


def _table(report: Report, name: str, choices: Mapping[str, Chosen]) -> TemperatureTable:
    evaluation = report.evaluations[name]
    digits = evaluation.scale.digits
    rows = []
    for arm in report.arms:
        if (chosen := choices.get(arm.name)) is None:
            continue
        cells = tuple(
            TemperatureCell(
                *_score(arm.evaluations.get(full), digits),
                "–" if chosen.dev.get(full) is None else number(chosen.dev[full] or 0.0, digits),
                full == chosen.evaluation,
            )
            for full in evaluation.best_of
        )
        rows.append(
            TemperatureRow(arm.name, cells, *_score(arm.evaluations.get(name), digits), f"{chosen.temperature:g}")
        )
    columns = tuple(f"{report.evaluations[full].temperature:g}" for full in evaluation.best_of)
    return TemperatureTable(name, columns, tuple(rows), max(one.prompts for one in choices.values()))


def _score(found: ArmEstimate | None, digits: int) -> tuple[str, str]:
    if found is None:
        return "pending", ""
    return number(found.estimate, digits), f"± {number(found.standard_error, digits)}"
