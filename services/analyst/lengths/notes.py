"""What a reader must know of length: fits that are not to be trusted, gains that go with it, figures that disagree."""

from __future__ import annotations

from collections.abc import Iterator

from services.analyst.contrasts import ContrastResult
from services.analyst.intervals import Crossed
from services.analyst.length_control import Beside
from services.analyst.lengths.found import ControlledReport, Lengths, disagreements
from services.analyst.model import ContrastReport, Note
from services.analyst.params import ReportParams
from services.analyst.wording import number, points

LONGER = 1.1
"""From such a ratio of lengths on, a gain that goes with it is said to."""


def length_notes(
    params: ReportParams, contrasts: tuple[ContrastReport, ...], lengths: Lengths | None
) -> tuple[Note, ...]:
    """The notes on length; none without completions."""
    if lengths is None:
        return ()
    primary = next((one for one in contrasts if one.contrast.name == params.primary.contrast), None)
    result = None if primary is None else primary.results.get(params.primary.evaluation)
    controlled = any(one.raw == params.primary.evaluation for one in lengths.controlled.values())
    found = [note for name, one in lengths.controlled.items() for note in (*_distrust(name, one), *_other(name, one))]
    return (*_with_length(result, controlled), *found)


def _with_length(primary: ContrastResult | None, controlled: bool) -> Iterator[Note]:
    """The primary's gain goes with length, and no length-controlled evaluation stands beside it."""
    if primary is None or primary.length_ratio is None or controlled or primary.contrast.pair is None:
        return
    a, b = primary.contrast.pair
    # The arm that scores higher, and how many times as long its completions are as the other's.
    best, other, ratio = (a, b, primary.length_ratio) if primary.estimate > 0 else (b, a, 1 / primary.length_ratio)
    if ratio >= LONGER:
        yield Note(
            "limit",
            f"{best} scores {points(primary.estimate)} above {other} under {primary.evaluation}, and its completions "
            f"are {ratio:.2f} times as long: judges tend to prefer longer ones. An evaluation with `protocol: "
            "length_controlled` by the same judge asks nothing more, and says what is left at equal length.",
            ("evaluations",),
        )


def _distrust(name: str, report: ControlledReport) -> Iterator[Note]:
    reasons = list(dict.fromkeys(concern.text for concern in report.fit.concerns if concern.serious))
    if reasons:
        yield Note("limit", f"Figures of {name} are not all to be trusted: {'; '.join(reasons)}.", _path(name))


def _other(name: str, report: ControlledReport) -> Iterator[Note]:
    """Contrasts that read otherwise with length control."""
    differing = {contrast: one for contrast, one in report.contrasts.items() if disagreements(one)}
    if differing:
        raw = report.raw or "the raw figures"
        said = "; ".join(f"{contrast} ({_beside(one)})" for contrast, one in differing.items())
        yield Note(
            "limit",
            f"{name} and {raw} lead to different conclusions on {said}. Length is an effect of training, so with it "
            "controlled another question is answered, not the same one better.",
            _path(name),
        )


def _beside(one: Beside) -> str:
    return f"raw {_interval(one.raw)}, controlled {_interval(one.controlled)}, length × {one.length_ratio:.2f}"


def _interval(error: Crossed) -> str:
    low, high = error.bounds()
    return f"{number(float(error.mean))} ({number(float(low))} to {number(float(high))})"


def _path(name: str) -> tuple[str, ...]:
    return ("evaluations", name.rsplit("@", 1)[0])
