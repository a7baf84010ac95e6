"""The report as JSON: the contract's fields, never NaN. Points are percent; another unit is its evaluation's `unit`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from services.analyst import wording
from services.analyst.arena.joining import ratings_dict
from services.analyst.arena.win_rates import WinRates
from services.analyst.bootstrap import Checked
from services.analyst.categories import Part, PartEstimate, Parts
from services.analyst.contrasts import ContrastResult
from services.analyst.critics.as_json import card_dict
from services.analyst.lengths.as_json import lengths_dict
from services.analyst.model import ArmEstimate, ArmReport, ContrastReport, Cost, MatrixReport, Report
from services.analyst.preferences import WinRate
from services.analyst.scaling import scaling
from services.analyst.trust_json import trust_dict
from services.analyst.tuning.view import tuning_dict
from services.analyst.verdict import Verdict
from shared.spec.matrix import in_cell

SCHEMA = "touchstone/report/1"
CELL_FIELDS = (
    "verdict", "arms", "contrasts", "trust", "frontier", "lengths", "matches", "categories", "evaluations", "arenas",
    "win_rates", "best_on_dev", "tuning", "nulls", "scores",
)  # fmt: skip
"""What a report says of each cell of a matrix."""


def to_json(report: Report | MatrixReport) -> bytes:
    """UTF-8 JSON, indented; a number that does not exist is null."""
    data = as_dict(report) if isinstance(report, Report) else matrix_dict(report)
    return (json.dumps(finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def as_dict(report: Report) -> dict[str, Any]:
    """The report as plain data. What is pending has no entry; `scores` says how much is there."""
    return {
        "schema": SCHEMA,
        "experiment": {"name": report.name},
        "partial": report.partial,
        "seeds": list(report.seeds),
        "verdict": _verdict(report.verdict, report) | _judges(report),
        "arms": {arm.name: _arm(arm) for arm in report.arms},
        "contrasts": {one.contrast.name: _contrast(one, report) for one in report.contrasts},
        "trust": trust_dict(report.trust),
        "frontier": None if report.frontier is None else asdict(report.frontier),
        "lengths": lengths_dict(report.lengths),
        "matches": {
            name: {quantity: list(both) for quantity, both in sides.items()} for name, sides in report.matches.items()
        },
        "categories": {one.evaluation: parts_dict(one) for one in report.categories},
        "evaluations": {name: evaluation.model_dump() for name, evaluation in report.evaluations.items()},
        "arenas": {name: ratings_dict(found) for name, found in report.arenas.items()},
        "win_rates": [_win_rates(one) for one in report.win_rates],
        "best_on_dev": {
            name: {arm: asdict(chosen) for arm, chosen in of.items()} for name, of in report.choices.items()
        },
        "tuning": tuning_dict(report.tuning),
        "nulls": {
            name: {evaluation: asdict(found) for evaluation, found in of.items()} for name, of in report.nulls.items()
        },
        "cost": _cost(report.total),
        "scores": {"there": report.scores_there, "total": report.scores_total},
        "critics": {card.name: card_dict(card) for card in report.critics},
        "notes": _notes(report),
        "stages": _stages(report),
    }


def matrix_dict(report: MatrixReport) -> dict[str, Any]:
    """The report of a matrix: every cell under `cells`, and at the top the fields that a report has without one.

    There `verdict` speaks of all cells (their level where they agree, else inconclusive; `cells` has those of each
    level), and arms and contrasts are those of all cells, called `<name> [<cell>]`.
    """
    cells = {name: as_dict(cell) for name, cell in report.cells.items()}
    return {
        "schema": SCHEMA,
        "experiment": {"name": report.name},
        "partial": report.partial,
        "seeds": list(report.first.seeds),
        "verdict": _verdict(report.verdict, report.first)
        | {"cells": {level: list(of) for level, of in report.levels.items()}},
        "cells": {name: {field: cell[field] for field in CELL_FIELDS} for name, cell in cells.items()},
        **{
            field: {in_cell(name, one): value for name, cell in cells.items() for one, value in cell[field].items()}
            for field in ("arms", "contrasts", "matches")
        },
        "scaling": [asdict(one) for one in scaling(report)],
        "disagreement": None if report.disagreement is None else asdict(report.disagreement),
        "cost": _cost(report.total),
        "scores": {"there": report.scores_there, "total": report.scores_total},
        "critics": {card.name: card_dict(card) for card in report.critics},
        "notes": _notes(report),
        "stages": _stages(report),
    }


def _notes(report: Report | MatrixReport) -> list[dict[str, Any]]:
    return [{"kind": note.kind, "text": note.text, "spec": ".".join(note.path) or None} for note in report.notes]


def _stages(report: Report | MatrixReport) -> list[dict[str, Any]]:
    return [
        {"kind": stage.kind, "key": stage.key, "finished": stage.finished, "host": stage.host, "arms": list(arms)}
        for stage, arms in report.stages
    ]


def finite(value: Any) -> Any:
    """The same data with None for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _verdict(verdict: Verdict, report: Report) -> dict[str, Any]:
    """`unit` is that of delta and of the primary's numbers."""
    needs = verdict.needed
    return {
        "level": verdict.level,
        "scope": verdict.scope,
        "primary": {"contrast": verdict.contrast, "evaluation": verdict.evaluation},
        "delta": verdict.delta,
        "unit": report.evaluations[verdict.evaluation].unit,
        "reasons": list(verdict.reasons),
        "sentence": verdict.sentence,
        "needed": None
        if needs is None
        else {"half_width": needs.target, "prompts": needs.prompts, "seeds": needs.seeds, "both": needs.both},
    }


def _win_rates(found: WinRates) -> dict[str, Any]:
    """`rows` has, for each arm, how often it is preferred to each other one, where the two were compared."""
    rows: dict[str, dict[str, Any]] = {arm: {} for arm in found.arms}
    for (row, column), cell in found.cells.items():
        rows[row][column] = {**asdict(cell), "interval": list(cell.interval)}
    return {
        "judge": found.judge,
        "temperature": found.temperature,
        "evaluations": list(found.evaluations),
        "arms": list(found.arms),
        "rows": rows,
    }


def _judges(report: Report) -> dict[str, Any]:
    """Each judge's own level, and what is said where they are all of one family."""
    return {
        "judges": [asdict(one) for one in report.judges],
        "another_family": report.another_family,
        "family_note": wording.one_family(len(report.judges)) if report.another_family is False else None,
    }


def _arm(arm: ArmReport) -> dict[str, Any]:
    return {
        "role": arm.params.role,
        "of": arm.params.of,
        "start": arm.params.start,
        "control": None if arm.params.control is None else arm.params.control.model_dump(),
        "unjudged": list(arm.unjudged),
        "evaluations": {
            name: {
                **_mean(found),
                "dropped": found.dropped,
                **({"alpaca_eval": _by_seed(found.alpaca_eval)} if found.alpaca_eval else {}),
            }
            for name, found in arm.evaluations.items()
        },
        "cost": _cost(arm.cost),
        **({"too_long": dict(arm.too_long)} if arm.too_long else {}),
    }


def _mean(found: ArmEstimate | PartEstimate) -> dict[str, Any]:
    return {
        "estimate": found.estimate,
        "standard_error": found.standard_error,
        "interval": list(found.interval),
        "n": found.prompts,
    }


def _by_seed(rates: Mapping[int, WinRate]) -> dict[str, dict[str, Any]]:
    return {str(seed): asdict(rate) for seed, rate in rates.items()}


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "usd": cost.usd,
        "declared_usd": cost.declared,
        "device_hours": cost.device_hours,
        "stages": cost.stages,
        "missing": cost.missing,
    }


def _contrast(report: ContrastReport, whole: Report) -> dict[str, Any]:
    primary = (whole.verdict.contrast, whole.verdict.evaluation)
    return {
        evaluation: _result(result)
        | {"exploratory": (report.contrast.name, evaluation) != primary}
        | (_primary(whole) if (report.contrast.name, evaluation) == primary else {})
        for evaluation, result in report.results.items()
    }


def _primary(report: Report) -> dict[str, Any]:
    """What is said of the primary alone: its checks."""
    orders = {order.replace(" ", "_"): _result(found) for order, found in report.orders.items()}
    return {"bootstrap": _bootstrap(report.bootstrap), "orders": orders or None}


def _bootstrap(checked: Checked | None) -> dict[str, Any] | None:
    if checked is None:
        return None
    ends = {name: list(getattr(checked, name)) for name in ("percentile", "bca", "t")}
    return {"over": "prompts", "resamples": checked.resamples, "alpha": checked.alpha, **ends, "apart": checked.apart}


def parts_dict(one: Parts) -> dict[str, Any]:
    """An evaluation's categories and turns; each has every arm's mean and the primary contrast's difference."""

    def part(of: Part) -> dict[str, Any]:
        arms = {arm: None if found is None else _mean(found) for arm, found in of.arms.items()}
        return {"arms": arms, "difference": None if of.difference is None else _result(of.difference)}

    return {
        "unit": one.unit,
        "contrast": one.contrast.name,
        "exploratory": True,
        "categories": {of.name: part(of) for of in one.categories},
        "turns": {of.name: part(of) for of in one.turns},
    }


def _result(result: ContrastResult) -> dict[str, Any]:
    odds = result.log_odds
    return {
        "estimate": result.estimate,
        "standard_error": result.standard_error,
        "interval": list(result.interval),
        "decision_interval": list(result.decision_interval),
        "p_value": result.p_value,
        "n_prompts": result.prompts,
        "n_seeds": result.seeds,
        "dropped": result.dropped,
        "length_ratio": result.length_ratio,
        "log_odds": None
        if odds is None
        else {
            "estimate": odds.estimate,
            "standard_error": odds.standard_error,
            "interval": list(odds.interval),
            "p_value": odds.p_value,
        },
        **({} if result.win_rates is None else {"win_rates": list(result.win_rates)}),
    }
