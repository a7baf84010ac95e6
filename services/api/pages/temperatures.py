"""Each arm's temperatures side by side, and the one that dev chose, from a report's JSON as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import number
from shared.scales import scale_of

Data = Mapping[str, Any]


@dataclass(frozen=True)
class TemperatureRow:
    """An arm: its score at each temperature with what it scored on dev and whether that chose it; at its best."""

    arm: str
    cells: tuple[tuple[str, str, bool], ...]
    best: str
    at: str


@dataclass(frozen=True)
class TemperatureTable:
    """One choice among temperatures."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[TemperatureRow, ...]


def temperature_tables(report: Data) -> tuple[TemperatureTable, ...]:
    """A table for each choice that is made so far."""
    return tuple(_table(report, name, of) for name, of in (report.get("best_on_dev") or {}).items())


def _table(report: Data, name: str, choices: Data) -> TemperatureTable:
    evaluation = report["evaluations"][name]
    digits = scale_of(evaluation["unit"]).digits
    columns = tuple(f"{report['evaluations'][full]['temperature']:g}" for full in evaluation["best_of"])
    rows = []
    for arm, chosen in choices.items():
        scores = report["arms"][arm]["evaluations"]
        cells = tuple(
            (_score(scores.get(full), digits), number(chosen["dev"].get(full), digits), full == chosen["evaluation"])
            for full in evaluation["best_of"]
        )
        rows.append(TemperatureRow(arm, cells, _score(scores.get(name), digits), f"{chosen['temperature']:g}"))
    return TemperatureTable(name, columns, tuple(rows))


def _score(found: Data | None, digits: int) -> str:
    return "pending" if found is None else number(found["estimate"], digits)
