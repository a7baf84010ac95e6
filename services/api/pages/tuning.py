"""What was tried on the dev prompts and what was chosen, from a report's JSON as a page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import SHORT, between, number
from shared.scales import scale_of
from shared.trials import text_of

Data = Mapping[str, Any]


@dataclass(frozen=True)
class TrialRow:
    """One trial: its settings, dev score and interval; whether it was chosen, or why it was out."""

    cells: tuple[str, ...]
    value: str
    interval: str
    said: str
    chosen: bool


@dataclass(frozen=True)
class TrialTable:
    """A step's trials."""

    title: str
    size: str
    columns: tuple[str, ...]
    rows: tuple[TrialRow, ...]


@dataclass(frozen=True)
class Tuning:
    """All that was chosen on dev, by one evaluation; `counts` has every arm's number of trials in words."""

    evaluation: str
    unit: str
    counts: str
    tables: tuple[TrialTable, ...]


def tuning(report: Data) -> Tuning | None:
    """None where nothing was tried, or nothing is chosen yet."""
    found = report.get("tuning")
    if not found or not found["steps"]:
        return None
    scale = scale_of(report["evaluations"][found["evaluation"]]["unit"])
    counts = ", ".join(f"{arm} {count}" for arm, count in found["counts"].items())
    tables = tuple(_table(step, scale.digits) for step in found["steps"])
    return Tuning(found["evaluation"], scale.many, counts, tables)


def _table(step: Data, digits: int) -> TrialTable:
    trials = step["trials"]
    names = tuple(dict.fromkeys(name for trial in trials for name in trial["settings"]))
    places = any(trial["checkpoint"] is not None for trial in trials)
    seeds = "" if step["seeds"] == 1 else f" × {step['seeds']} runs"
    return TrialTable(
        f"{', '.join(step['arms'])}: {SHORT.get(step['step'], step['step'])}",
        f"{step['prompts']} dev prompts{seeds}",
        (*names, *(("checkpoint",) if places else ())),
        tuple(_row(trial, names, places, digits) for trial in trials),
    )


def _row(trial: Data, names: tuple[str, ...], places: bool, digits: int) -> TrialRow:
    cells = [text_of(trial["settings"].get(name)) for name in names]
    cells += [f"{trial['checkpoint']} of {trial['of']}"] if places else []
    interval = "" if trial["interval"] is None else between(trial["interval"], digits)
    said = "chosen" if trial["chosen"] else trial["out"] or ""
    return TrialRow(tuple(cells), number(trial["estimate"], digits), interval, said, trial["chosen"])
