"""Notes on answers that are none, which count as they are, and on those whose cost nobody said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from services.analyst.model import Note, StageFacts

ANSWERED = "answered"


def answer_notes(stages: Iterable[StageFacts]) -> Iterator[Note]:
    """Notes for each kind of stage in which some answer was refused, cut, filtered or empty, asked again, or came
    without usage."""
    outcomes: dict[str, Counter[str]] = {}
    reasked: dict[str, Counter[str]] = {}
    without_usage: Counter[str] = Counter()
    for stage in stages:
        without_usage[stage.kind] += stage.without_usage
        outcomes.setdefault(stage.kind, Counter()).update(stage.outcomes)
        reasked.setdefault(stage.kind, Counter()).update(stage.reasked)
    for kind, counts in outcomes.items():
        none = {what: count for what, count in counts.items() if what != ANSWERED and count}
        again = {what: count for what, count in reasked[kind].items() if count}
        if none:
            yield Note("data", f"{kind}: of {counts.total():,} answers {_said(none)}; they count as they are.")
        if again:
            yield Note("data", f"{kind}: {_said(again)} and were asked again, as the spec says; all were paid for.")
        if count := without_usage[kind]:
            said = "1 answer" if count == 1 else f"{count:,} answers"
            text = f"{kind}: {said} came without usage and count with the most that they can have cost: less was paid."
            yield Note("data", text)


def _said(counts: Mapping[str, int]) -> str:
    """`3 were truncated, 1 was refused`, the most first."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {'was' if count == 1 else 'were'} {what}" for what, count in order)
