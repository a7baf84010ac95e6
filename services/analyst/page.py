"""The report as one HTML file that needs nothing else: style and figures are inside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from services.analyst import curves, forest
from services.analyst.beside_page import BESIDE, RECIPES, is_beside, judge_rows, null_rows, what_it_is
from services.analyst.categories_page import parts_views
from services.analyst.chips import Chip, chip
from services.analyst.contrasts import ContrastResult
from services.analyst.critics.view import views
from services.analyst.frontier_page import frontier_view
from services.analyst.lengths.view import lengths_view, times
from services.analyst.match_page import match_rows, match_titles
from services.analyst.model import (
    ArmEstimate,
    ArmReport,
    ContrastReport,
    Cost,
    Judged,
    MatrixReport,
    Report,
    StageFacts,
)
from services.analyst.params import EvaluationParams
from services.analyst.spectext import line_of, spec_yaml
from services.analyst.temperatures_page import temperature_tables
from services.analyst.trust_page import trust_view
from services.analyst.tuning.view import tuning_view
from services.analyst.verdict_figure import verdict_figures
from services.analyst.win_rates_page import matrix_views
from services.analyst.wording import bootstrapped, decisions, number, one_family

LEVELS = {
    "rl_adds_value": "RL adds value",
    "sft_suffices": "SFT suffices",
    "inconclusive": "Inconclusive",
    "invalid": "Invalid",
    "pending": "Not decided yet",
}
SCOPES = {
    "recipe": "the recipe: another run of it is expected to agree",
    "checkpoints": "these trained models only: another seed may differ",
}
"""Decimals of an estimate, by its unit; three of any other."""
NOTES = {"stand-in": "Stand-ins", "limit": "What this does not show", "data": "About the data"}


@dataclass(frozen=True)
class Cell:
    """One estimate as text; `note` is the smaller line under it."""

    value: str
    error: str = ""
    note: str = ""


@dataclass(frozen=True)
class Numbers:
    """A contrast's result as text."""

    difference: str
    interval: str
    decision: str
    p: str
    size: str
    log_odds: str
    length: str


@dataclass(frozen=True)
class ContrastRow:
    """One row of the table of contrasts; `numbers` is None where there are none, and `missing` says why.

    `unit` is empty of points."""

    first: bool
    span: int
    name: str
    formula: str
    evaluation: str
    primary: bool
    numbers: Numbers | None
    missing: str = ""
    unit: str = ""


def to_html(report: Report) -> bytes:
    """UTF-8 HTML."""
    text = spec_yaml(report.spec)
    return render(
        "report.html.jinja",
        **context(report),
        **whole(report, text),
        skip="arms",
        costs=[
            *((arm.name, relation(arm), *cost_cells(arm.cost)) for arm in report.arms),
            *([("null completions", "", *cost_cells(report.null_cost))] if report.nulls else []),
        ],
    ).encode()


def render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def context(report: Report, at: str = "", top: int = 1) -> dict[str, Any]:
    """What the parts of a template need that show one report's numbers.

    `at` begins the ids of its elements, and `top` is the level of its highest heading.
    """
    shown = report.evaluations.get(report.examples_of or "")
    return {
        "report": report,
        "at": at,
        "top": top,
        "verdict": report.verdict,
        "level": LEVELS[report.verdict.level],
        "facts": facts(report),
        "columns": columns(report),
        "arm_groups": [
            (title, [(arm, relation(arm), cells(arm, report)) for arm in report.arms if is_beside(arm) == beside])
            for title, beside in ((RECIPES, False), (BESIDE, True))
        ],
        "nulls": null_rows(report),
        "judges": judge_rows(report),
        "family_note": one_family(len(report.judges)) if report.another_family is False else "",
        "temperatures": temperature_tables(report),
        "tuning": tuning_view(report),
        "contrast_rows": [row for one in report.contrasts for row in contrast_rows(one, report)],
        # Of a matrix the map of its cells says as much; a drawing of each would be a hundred.
        "intervals": [Markup(svg) for svg in (verdict_figures(report) if not at else ())],
        "forests": [Markup(svg) for svg in forest.forests(report, at)],
        "curves": [(title, Markup(svg)) for title, svg in curves.figures(report.curves, 348, 236, at)],
        "legend": curves.styles(report.curves),
        "examples": [(example, example_cards(example.completions, shown)) for example in report.examples],
        "categories": parts_views(report.categories),
        "frontier": frontier_view(report.frontier, at),
        "win_rates": matrix_views(report.win_rates, at),
        "lengths": lengths_view(report.lengths, at),
        "matches": match_rows(report),
        "match_titles": match_titles(report),
        "decisions": report.looks * report.cells,
        "since": decisions(report.looks, report.cells),
        "trust": trust_view(report.trust),
        "checks": [bootstrapped(report.bootstrap, report.primary_scale)] if report.bootstrap is not None else [],
    }


def whole(report: Report | MatrixReport, text: str) -> dict[str, Any]:
    """What stands on a page once; `text` is the spec as YAML."""
    notes = [
        (title, [(note, line_of(text, note.path) if note.path else None) for note in found])
        for kind, title in NOTES.items()
        if (found := [note for note in report.notes if note.kind == kind])
    ]
    return {
        "name": report.name,
        "notes": notes,
        "critics": views(report.critics),
        "total": cost_cells(report.total),
        "stages": report.stages,
        "versions": versions(stage for stage, _ in report.stages),
        "spec_lines": text.rstrip("\n").split("\n"),
    }


@cache
def environment() -> Environment:
    """Jinja with everything escaped and no name forgiven."""
    made = Environment(
        loader=PackageLoader("services.analyst"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["moment"] = moment
    made.filters["unbroken"] = unbroken
    return made


def facts(report: Report) -> list[tuple[str, str]]:
    """What stands beside the verdict: terms and their values."""
    verdict = report.verdict
    primary = next(one for one in report.contrasts if one.contrast.name == verdict.contrast)
    result = report.primary_result
    scale = report.primary_scale
    found = [
        ("Primary contrast", f"{verdict.contrast}: {primary.contrast.formula}"),
        ("Evaluation", verdict.evaluation),
        ("Speaks of", SCOPES[verdict.scope]),
    ]
    if verdict.delta is not None:
        found.append(("Worth its cost from (delta)", f"{scale.number(verdict.delta)} {scale.many}"))
    if result is not None:
        low, high = (scale.number(end) for end in result.decision_interval)
        share = f"{100 * (1 - report.alpha):.4g}%"
        difference = f"{scale.number(result.estimate)} {scale.many}"
        found.append(("Difference", f"{difference}, {share} interval {low} to {high}"))
        found.append(("Judged", f"{_count(result.prompts, 'prompt')} × {_count(result.seeds, 'seed')} for each arm"))
    return found


def columns(report: Report) -> list[tuple[str, EvaluationParams, str]]:
    """The evaluations as the arms' table's columns, with what each is in a few words."""
    return [(name, evaluation, _how(evaluation)) for name, evaluation in report.evaluations.items()]


def _how(evaluation: EvaluationParams) -> str:
    how = f" ({evaluation.length_controlled})" if evaluation.length_controlled else ""
    parts = [f"{evaluation.protocol}{how}, {evaluation.unit}"]
    if evaluation.head_to_head:
        parts.append(" against ".join(evaluation.arms or ()))
    if evaluation.reference:
        parts.append(f"against {evaluation.reference}")
    if evaluation.judge:
        parts.append(f"judge: {evaluation.judge}")
    if evaluation.method:
        parts.append(evaluation.method)
    return "; ".join(parts)


def cells(arm: ArmReport, report: Report) -> list[tuple[str, Cell]]:
    """One arm's estimates, one for each column."""
    return [
        (name, Cell("–") if name in arm.unjudged else _cell(arm.evaluations.get(name), evaluation))
        for name, evaluation in report.evaluations.items()
    ]


def _cell(found: ArmEstimate | None, evaluation: EvaluationParams) -> Cell:
    if found is None:
        return Cell("pending")
    digits = _digits(evaluation)
    low, high = (number(end, digits) for end in found.interval)
    dropped = f", {found.dropped} dropped" if found.dropped else ""
    return Cell(
        number(found.estimate, digits),
        f"± {number(found.standard_error, digits)}",
        f"{low} to {high}; n {found.prompts}{dropped}",
    )


def relation(arm: ArmReport) -> str:
    """How an arm belongs to others."""
    if is_beside(arm):
        return what_it_is(arm)
    if arm.params.control is not None:
        return f"control of {arm.params.control.of}, from {arm.params.start}"
    if arm.params.start:
        return f"from {arm.params.start}"
    return f"start of {', '.join(arm.params.start_of)}" if arm.params.start_of else ""


def contrast_rows(one: ContrastReport, report: Report) -> Iterable[ContrastRow]:
    """The rows of one contrast, an evaluation each."""
    names = [name for name in report.evaluations if name in one.results or name in (*one.pending, *one.absent)]
    for place, name in enumerate(names):
        primary = (one.contrast.name, name) == (report.verdict.contrast, report.verdict.evaluation)
        head = (place == 0, len(names), one.contrast.name, one.contrast.formula, name, primary)
        evaluation = report.evaluations[name]
        unit = "" if evaluation.in_points or evaluation.pooled else evaluation.scale.many
        if name in one.results:
            yield ContrastRow(*head, numbers(one.results[name], report), unit=unit)
        else:
            yield ContrastRow(*head, None, "pending" if name in one.pending else "cannot be estimated", unit)


def numbers(result: ContrastResult, report: Report) -> Numbers:
    evaluation = report.evaluations[result.evaluation]
    digits, unit = _digits(evaluation), " Elo" if evaluation.pooled else ""
    odds = result.log_odds
    return Numbers(
        difference=f"{number(result.estimate, digits)} ± {number(result.standard_error, digits)}{unit}",
        interval=_interval(result.interval, digits),
        decision=_interval(result.decision_interval, digits),
        p="< .001" if result.p_value < 0.001 else f"{result.p_value:.3f}".removeprefix("0"),
        size=f"{result.prompts} × {result.seeds}",
        log_odds="–" if odds is None else f"{number(odds.estimate, 2)} ({_interval(odds.interval, 2)})",
        length=times(result.length_ratio),
    )


def _interval(ends: tuple[float, float], digits: int) -> str:
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def _digits(evaluation: EvaluationParams) -> int:
    return evaluation.scale.digits


def example_cards(completions: Any, evaluation: EvaluationParams | None = None) -> list[tuple[str, Judged, Chip]]:
    """Each arm's completion with the judge's verdict in words."""
    return [(arm, judged, chip(judged, evaluation)) for arm, judged in completions.items()]


def cost_cells(cost: Cost) -> tuple[str, str, str]:
    """Dollars, device hours, stages."""
    usd, declared = (f"{one:,.2f}" if one == 0 or one >= 0.01 else f"{one:.4f}" for one in (cost.usd, cost.declared))
    usd += f" and {declared} declared" if cost.declared else ""
    stages = str(cost.stages) if not cost.missing else f"{cost.stages}, {cost.missing} pending"
    return usd, f"{cost.device_hours:.2f}" if cost.device_hours >= 0.1 else f"{cost.device_hours:.4f}", stages


def versions(stages: Iterable[StageFacts]) -> list[tuple[str, str]]:
    """Every library's version; several where stages ran under different ones."""
    found: dict[str, dict[str, None]] = {}
    for stage in stages:
        for name, version in stage.versions.items():
            found.setdefault(name, {})[version] = None
    return [(name, ", ".join(sorted(values))) for name, values in sorted(found.items())]


def unbroken(text: str) -> Markup:
    """Escaped text in which names with hyphens (`sft-strong`) stay on one line."""
    parts = re.split(r"([\w.]\S*-\S*\w)", text)
    return Markup("").join(
        Markup('<span class="nb">{}</span>').format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def moment(text: str) -> str:
    """An ISO 8601 time as `2026-11-23 20:15:04`, in UTC."""
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _count(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
