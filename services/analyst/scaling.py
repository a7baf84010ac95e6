"""Data scaling: every arm's score by the share of the train prompts that its SFT had demonstrations of.

Of a matrix over fractions. An SFT arm stands at its own share (starts at those of the cells, arms of all prompts at 1),
and there is a line a teacher. An RL arm stands at the share of its start; its RL step used the other prompts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.analyst.model import ArmEstimate, MatrixReport, Report
from shared.spec.matrix import cells
from shared.spec.model import Spec
from shared.spec.parse import parse_spec, start_arms, start_of


@dataclass(frozen=True)
class Point:
    """An arm's score at a share of the train prompts."""

    fraction: float
    arm: str
    cell: str
    estimate: float
    interval: tuple[float, float]
    prompts: int


@dataclass(frozen=True)
class Line:
    """The scores of one recipe, by fraction; `rl` says whether it has an RL step."""

    name: str
    rl: bool
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Scaling:
    """The lines of the cells that differ in their fraction alone; `rest` is what else is in their names."""

    rest: str
    evaluation: str
    unit: str
    lines: tuple[Line, ...]


def scaling(report: MatrixReport) -> tuple[Scaling, ...]:
    """One for each of the other axes' levels; none where the matrix is not over fractions, or nothing is judged yet."""
    if not (report.spec.get("matrix") or {}).get("fractions"):
        return ()
    specs = cells(parse_spec(report.spec))
    groups: dict[str, dict[str, Spec]] = {}
    for cell in report.cells:
        rest = ",".join(part for part in cell.split(",") if not part.startswith("fraction="))
        groups.setdefault(rest, {})[cell] = specs[cell]
    found = (_scaling(rest, group, report) for rest, group in groups.items())
    return tuple(one for one in found if any(len(line.points) > 1 for line in one.lines))


def _scaling(rest: str, group: dict[str, Spec], report: MatrixReport) -> Scaling:
    lines: dict[tuple[str, bool], dict[float, Point]] = {}
    for cell, spec in group.items():
        for name, rl, point in _points(cell, spec, report.cells[cell]):
            lines.setdefault((name, rl), {}).setdefault(point.fraction, point)
    first = report.cells[next(iter(group))]
    evaluation = first.verdict.evaluation
    return Scaling(
        rest,
        evaluation,
        first.evaluations[evaluation].scale.many,
        tuple(
            Line(name, rl, tuple(points[share] for share in sorted(points)))
            for (name, rl), points in sorted(lines.items(), key=lambda item: item[0][1])
        ),
    )


def _points(cell: str, spec: Spec, report: Report) -> Iterator[tuple[str, bool, Point]]:
    """The name of its line, whether that has an RL step, and the point, of every arm that is judged."""
    starts = {start: start_of(spec.arms[arm]) for arm, start in start_arms(spec).items()}
    scored = {arm.name: arm.evaluations.get(report.verdict.evaluation) for arm in report.arms}
    for name, arm in {**starts, **spec.arms}.items():
        estimate: ArmEstimate | None = scored.get(name)
        if estimate is not None:
            rl = arm.rl is not None
            line = name if rl else f"SFT on {arm.sft.teacher}"
            point = Point(arm.sft.fraction, name, cell, estimate.estimate, estimate.interval, estimate.prompts)
            yield line, rl, point
