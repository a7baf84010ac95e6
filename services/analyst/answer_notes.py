"""Notes on answers that are none: kept, counted, and said, since they count as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from services.analyst.model import Note, StageFacts

ANSWERED = "answered"


def answer_notes(stages: Iterable[StageFacts]) -> Iterator[Note]:
    """One note for each kind of stage in which some answer was refused, cut, filtered or empty, or asked again."""
    outcomes: dict[str, Counter[str]] = {}
    reasked: dict[str, Counter[str]] = {}
    for stage in stages:
        outcomes.setdefault(stage.kind, Counter()).update(stage.outcomes)
        reasked.setdefault(stage.kind, Counter()).update(stage.reasked)
    for kind, counts in outcomes.items():
        none = {what: count for what, count in counts.items() if what != ANSWERED and count}
        again = {what: count for what, count in reasked[kind].items() if count}
        if none:
            yield Note("data", f"{kind}: of {counts.total():,} answers {_said(none)}; they count as they are.")
        if again:
            yield Note("data", f"{kind}: {_said(again)} and were asked again, as the spec says; all were paid for.")


def _said(counts: Mapping[str, int]) -> str:
    """`3 were truncated, 1 was refused`, the most first."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {'was' if count == 1 else 'were'} {what}" for what, count in order)
