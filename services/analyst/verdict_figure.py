"""The primary contrast's interval against delta: the figure that the verdict is read from."""

from __future__ import annotations

from collections.abc import Iterator

from services.analyst.forest import NARROW, WIDE
from services.analyst.model import Report
from services.analyst.plain_svg import box, dot, framed, line, words
from shared.interval_drawing import Drawing, place

HEIGHT, TOP, BOTTOM = 148.0, 26.0, 110.0
NEAR = 12.0
"""Percent of the width within which words at an end are turned inwards."""


def verdict_figures(report: Report, at: str = "") -> list[str]:
    """The figure for wide and for narrow screens; none while there is no result, or no delta."""
    result, delta = report.primary_result, report.verdict.delta
    if result is None or delta is None:
        return []
    low, high = result.decision_interval
    drawn = place(result.estimate, low, high, delta)
    scale = report.primary_scale
    labels = (scale.number(result.estimate), scale.number(low), scale.number(high), scale.number(delta))
    formula = next(one.contrast.formula for one in report.contrasts if one.contrast.name == report.verdict.contrast)
    text = (
        f"{formula} under {report.verdict.evaluation}: {labels[0]} {scale.many}, interval {labels[1]} to {labels[2]}; "
        f"worth its cost from {labels[3]} {scale.many}."
    )
    title = "The primary contrast against what would be worth its cost"
    return [
        framed(
            size.width, HEIGHT, f"{at}verdict-{size.name}", title, text, _parts(size.width, drawn, scale.many, *labels)
        )
        for size in (WIDE, NARROW)
    ]


def _parts(width: float, drawn: Drawing, unit: str, estimate: str, low: str, high: str, delta: str) -> Iterator[str]:
    def x(percent: float) -> float:
        return round(width * percent / 100, 1)

    edge, tall = x(drawn.delta), BOTTOM - TOP
    yield box(0, TOP, edge, tall, "band")
    yield box(edge, TOP, width - edge, tall, "highlight")
    yield words(edge - 8, 16, "not worth it ◂", "muted", anchor="end")
    yield words(edge + 8, 16, "▸ worth it", "muted", anchor="start")
    yield line(x(drawn.zero), TOP, x(drawn.zero), BOTTOM, "muted")
    yield line(edge, 6, edge, BOTTOM, "accent", 2, "5 4")
    yield box(x(drawn.low), 72, x(drawn.width), 6, "ink")
    for end in (drawn.low, drawn.high):
        yield line(x(end), 66, x(end), 84, "ink", 2)
    yield dot(x(drawn.estimate), 75, 7, "ink")
    # A long unit beside the number needs more room.
    near = NEAR if len(unit) < 8 else 30.0
    yield words(x(drawn.estimate), 56, f"{estimate} {unit}", size=14, anchor=_anchor(drawn.estimate, near), bold=True)
    if drawn.width > 22:
        yield words(x(drawn.low), 102, low, anchor=_anchor(drawn.low))
        yield words(x(drawn.high), 102, high, anchor=_anchor(drawn.high))
    else:
        middle = (drawn.low + drawn.high) / 2
        yield words(x(middle), 102, f"{low} to {high}", anchor=_anchor(middle))
    yield words(edge, 128, f"δ = {delta}", "muted")
    apart = abs(drawn.delta - drawn.zero) > 24
    yield words(x(drawn.zero), 128 if apart else 144, "0: no difference", "muted", anchor=_anchor(drawn.zero, 20))


def _anchor(percent: float, near: float = NEAR) -> str:
    """Where a text stands to its place, so that it stays in the drawing."""
    return "start" if percent < near else "end" if percent > 100 - near else "middle"
