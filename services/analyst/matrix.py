"""From the cells of a matrix to one report: each cell has its own verdict, and one over all says how many say what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.analyst import wording
from services.analyst.build import build_report, complete_scores, cost_of, stages_with_arms
from services.analyst.contrasts import ContrastResult, weigh
from services.analyst.disagreement import Disagreement, disagreement
from services.analyst.intervals import Floats, Method, crossed
from services.analyst.lengths.study import LengthStudy
from services.analyst.model import MatrixReport, Note, Report, ReportInputs
from services.analyst.scores import Aligned, align
from services.analyst.verdict import Level, Verdict
from shared.spec.matrix import but_for_judge, in_cell


def build_matrix(cells: Mapping[str, ReportInputs], partial: bool = False, method: Method = crossed) -> MatrixReport:
    """The report of every cell, and what they say together. Raises ValueError as `build_report` does."""
    studies = {cell: LengthStudy.of(inputs, complete_scores(inputs)) for cell, inputs in cells.items()}
    reports = {cell: build_report(inputs, partial, method, study=studies[cell]) for cell, inputs in cells.items()}
    if not partial:
        seen = {cell: other_judges(cell, reports) for cell in cells}
        reports |= {
            cell: build_report(cells[cell], partial, method, others, studies[cell])
            for cell, others in seen.items()
            if others
        }
    first = next(iter(cells.values()))
    needed = {
        in_cell(cell, arm): [key for _, key in stages]
        for cell, inputs in cells.items()
        for arm, stages in inputs.params.stages.items()
    }
    # All cells read the same commits, but each knows its own declared prices alone.
    facts = dict(first.stages)
    for inputs in cells.values():
        facts |= {key: inputs.stages[key] for key in inputs.params.declared if key in inputs.stages}
    return MatrixReport(
        name=first.params.name,
        partial=partial,
        verdict=overall(reports),
        levels=levels(reports),
        cells=reports,
        notes=notes_of(reports),
        total=cost_of((key for keys in needed.values() for key in keys), facts),
        stages=stages_with_arms(needed, first.stages),
        spec=first.params.spec,
        disagreement=None if partial else modelled(cells, reports, method),
    )


def modelled(
    cells: Mapping[str, ReportInputs], reports: Mapping[str, Report], method: Method = crossed
) -> Disagreement | None:
    """The primary contrast over the matrix's axes; None where it is not in points, or missing from a cell."""
    found: dict[str, tuple[Aligned, Floats]] = {}
    for cell, report in reports.items():
        result = report.primary_result
        if result is None or not report.evaluations[result.evaluation].in_points:
            return None
        scores = complete_scores(cells[cell])
        aligned = align([scores[arm, result.evaluation] for arm in result.contrast.arms])
        found[cell] = (aligned, weigh(aligned.values, result.contrast.weights))
    return disagreement(found, method)


def other_judges(cell: str, reports: Mapping[str, Report]) -> dict[str, ContrastResult]:
    """The primary contrast in the cells that differ from this one in their judge alone, by judge."""
    return {
        report.evaluations[result.evaluation].judge or other: replace(
            result, evaluation=in_cell(other, result.evaluation)
        )
        for other, report in reports.items()
        if other != cell and but_for_judge(other) == but_for_judge(cell)
        if (result := report.primary_result) is not None
    }


def levels(reports: Mapping[str, Report]) -> dict[Level, tuple[str, ...]]:
    """The cells of each level that occurs."""
    found: dict[Level, tuple[str, ...]] = {}
    for cell, report in reports.items():
        found[report.verdict.level] = (*found.get(report.verdict.level, ()), cell)
    return found


def overall(reports: Mapping[str, Report]) -> Verdict:
    """One verdict over all cells: their level where they agree, else inconclusive.

    Every cell is decided at 1 - .05/K, so what all of them say together is wrong in at most 5% of experiments.
    """
    found = levels(reports)
    verdicts = [report.verdict for report in reports.values()]
    first = verdicts[0]
    level: Level = first.level if len(found) == 1 else "pending" if "pending" in found else "inconclusive"
    there, total = (
        sum(getattr(report, name) for report in reports.values()) for name in ("scores_there", "scores_total")
    )
    counts: dict[str, int] = {one: len(cells) for one, cells in found.items()}
    sentence = wording.incomplete(there, total) if level == "pending" else wording.across(counts)
    seeds = len(next(iter(reports.values())).seeds)
    deltas = {verdict.delta for verdict in verdicts}
    return Verdict(
        level=level,
        scope=first.scope,
        contrast=first.contrast,
        evaluation=first.evaluation,
        delta=deltas.pop() if len(deltas) == 1 else None,
        reasons=tuple(f"{cell}: {_reason(report)}" for cell, report in reports.items()),
        sentence=sentence if level == "pending" else wording.scoped(sentence, first.scope, seeds),
    )


def notes_of(reports: Mapping[str, Report]) -> tuple[Note, ...]:
    """Every note once; one that is not of all cells says of which it is."""
    users: dict[Note, list[str]] = {}
    for cell, report in reports.items():
        for note in report.notes:
            users.setdefault(note, []).append(cell)
    return tuple(
        note if len(cells) == len(reports) else replace(note, text=f"In {' and '.join(cells)}: {note.text}")
        for note, cells in users.items()
    )


def _reason(report: Report) -> str:
    verdict = report.verdict
    result = report.primary_result
    word = wording.LEVELS[verdict.level]
    return word if result is None else f"{word}; {wording.measured(result)}"
