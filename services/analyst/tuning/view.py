"""The tables of trials: a step each, a row a trial."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from services.analyst.model import Report
from services.analyst.tuning.found import Trial, Tuned, Tuning
from services.analyst.wording import number
from shared.trials import text_of

STEPS = {"sft": "SFT", "rl": "RL step", "reward": "reward model"}


@dataclass(frozen=True)
class TrialRow:
    """A trial as text; `said` is why it was out, or that it was chosen."""

    cells: tuple[str, ...]
    value: str
    interval: str
    said: str
    chosen: bool


@dataclass(frozen=True)
class TrialTable:
    """A step's trials; `columns` are the settings that were tried."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    caption: str


@dataclass(frozen=True)
class TuningView:
    evaluation: str
    unit: str
    tables: tuple[TrialTable, ...]
    counts: str


def tuning_view(report: Report) -> TuningView | None:
    """None where nothing was chosen, or not yet."""
    found = report.tuning
    if found is None or not found.steps:
        return None
    scale = report.evaluations[found.evaluation].scale
    counts = ", ".join(f"{arm} {count}" for arm, count in found.counts.items())
    tables = tuple(_table(step, scale.digits) for step in found.steps)
    return TuningView(found.evaluation, scale.many, tables, counts)


def _table(step: Tuned, digits: int) -> TrialTable:
    names = tuple(dict.fromkeys(name for trial in step.trials for name in trial.settings))
    places = any(trial.checkpoint is not None for trial in step.trials)
    seeds = "" if step.seeds == 1 else f" and {step.seeds} seeds"
    return TrialTable(
        f"{', '.join(step.arms)}: {STEPS.get(step.step, step.step)}",
        (*names, *(("checkpoint",) if places else ())),
        tuple(_row(trial, names, places, digits) for trial in step.trials),
        f"{len(step.trials)} trials on {step.prompts} dev prompts{seeds}",
    )


def _row(trial: Trial, names: tuple[str, ...], places: bool, digits: int) -> TrialRow:
    cells = [text_of(trial.settings.get(name)) for name in names]
    cells += [f"{trial.checkpoint} of {trial.of}"] if places else []
    interval = "" if trial.interval is None else " to ".join(number(end, digits) for end in trial.interval)
    value = "–" if trial.estimate is None else number(trial.estimate, digits)
    return TrialRow(tuple(cells), value, interval, "chosen" if trial.chosen else trial.out or "", trial.chosen)


def tuning_dict(found: Tuning | None) -> dict[str, Any] | None:
    """As the report's JSON has it; scores in the evaluation's unit."""
    return None if found is None else asdict(found)
