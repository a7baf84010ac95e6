"""Data scaling as the page shows it: figures with one legend, and their numbers as a table."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from services.analyst.curves import Style
from services.analyst.model import MatrixReport
from services.analyst.scaling import Scaling, scaling
from services.analyst.scaling_figure import scaling_figures, share, styles
from shared.scales import Scale


@dataclass(frozen=True)
class Block:
    """One figure and its table: a row for each line, a cell for each share."""

    rest: str
    evaluation: str
    figures: list[Markup]
    shares: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class View:
    """What the template needs."""

    legend: dict[str, Style]
    blocks: list[Block]


def scaling_view(report: MatrixReport) -> View | None:
    """None where the matrix is not over fractions, or nothing is judged yet."""
    found = scaling(report)
    if not found:
        return None
    chosen, scale = styles(found), report.first.primary_scale
    return View(chosen, [_block(one, chosen, scale, f"s{place}-") for place, one in enumerate(found, start=1)])


def _block(found: Scaling, chosen: dict[str, Style], scale: Scale, at: str) -> Block:
    shares = sorted({point.fraction for line in found.lines for point in line.points})
    rows = []
    for line in found.lines:
        cells = {
            point.fraction: "{} ({} to {})".format(*map(scale.number, (point.estimate, *point.interval)))
            for point in line.points
        }
        rows.append((line.name, [cells.get(one, "–") for one in shares]))
    drawn = [Markup(svg) for svg in scaling_figures(found, chosen, at)]
    return Block(found.rest, found.evaluation, drawn, [share(one) for one in shares], rows)
