"""The report of a matrix as one HTML file: what the cells say together, their table, and a section for each."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from services.analyst.disagreement_page import disagreement_view, heat_map
from services.analyst.heat_figure import heat_figures
from services.analyst.model import MatrixReport, Report
from services.analyst.page import LEVELS, SCOPES, Numbers, context, cost_cells, numbers, relation, render, whole
from services.analyst.scaling_page import scaling_view
from services.analyst.spectext import spec_yaml
from services.analyst.wording import decisions, one_family


@dataclass(frozen=True)
class CellRow:
    """A cell in the table and its own section; `numbers` is None where there are none, and `missing` says why."""

    at: str
    name: str
    level: str
    word: str
    numbers: Numbers | None
    missing: str
    html: Markup


def matrix_to_html(report: MatrixReport) -> bytes:
    """UTF-8 HTML."""
    rows = [_row(f"c{place}-", name, cell) for place, (name, cell) in enumerate(report.cells.items(), start=1)]
    heat = heat_map(report)
    return render(
        "matrix.html.jinja",
        **whole(report, spec_yaml(report.spec)),
        report=report,
        at="",
        top=1,
        skip="cells",
        verdict=report.verdict,
        level=LEVELS[report.verdict.level] if len(report.levels) == 1 or report.partial else "Cells differ",
        facts=_facts(report),
        judges=[],
        family_note=one_family(len(report.first.judges)) if report.first.another_family is False else "",
        rows=rows,
        heat=heat,
        heats=[Markup(svg) for svg in heat_figures(heat)],
        intervals=[],
        scaling=scaling_view(report),
        disagreement=disagreement_view(report.disagreement),
        since=decisions(report.first.looks, report.first.cells),
        costs=[(name, relation(arm), *cost_cells(arm.cost)) for name, arm in report.arms.items()],
    ).encode()


def _row(at: str, name: str, cell: Report) -> CellRow:
    result = cell.primary_result
    html = render("cell.html.jinja", **context(cell, at, top=3))
    level = cell.verdict.level
    return CellRow(
        at=at,
        name=name,
        level=level,
        word=LEVELS[level],
        numbers=None if result is None else numbers(result, cell),
        missing="pending" if cell.partial else "cannot be estimated",
        html=Markup(html),
    )


def _facts(report: MatrixReport) -> list[tuple[str, str]]:
    verdict, first = report.verdict, report.first
    scale = first.primary_scale
    found = [
        ("Cells", str(len(report.cells))),
        ("Primary contrast", f"{verdict.contrast} under {verdict.evaluation}, in every cell"),
        ("Speaks of", SCOPES[verdict.scope]),
        ("Each is decided by", f"its {100 * (1 - first.alpha):.4g}% interval, so that 95% holds for all together"),
    ]
    if verdict.delta is not None:
        found.append(("Worth its cost from (delta)", f"{scale.number(verdict.delta)} {scale.many}"))
    return found
