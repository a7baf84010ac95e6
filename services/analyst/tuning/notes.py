"""What a reader must know of how settings were chosen, and whose numbers of trials the verdict compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.analyst.model import Note
from services.analyst.params import ReportParams


def compared_trials(params: ReportParams, pair: tuple[str, str]) -> Mapping[str, int]:
    """The arms' numbers of trials; none to compare of an arm and its own start, which has all of its trials before."""
    a, b = (params.arms[arm] for arm in pair)
    own = pair[1] == a.start or pair[0] == b.start
    return {} if own and params.tuning is not None else params.checks.tuning_trials


def tuning_notes(params: ReportParams) -> Iterator[Note]:
    """That settings were chosen for some arms among more than for others, where the spec allows it."""
    counts = params.checks.tuning_trials
    if params.tuning is None or len(set(counts.values())) < 2:
        return
    said = ", ".join(f"{count} for {arm}" for arm, count in counts.items())
    yield Note(
        "limit",
        f"Unequal numbers of settings were tried on dev: {said}. A difference may be the better tuning; the spec "
        "allows it, and where both arms of the primary contrast differ in it, the verdict is invalid all the same.",
        ("tuning", "unequal_trials"),
    )
