"""Comparing two completions of one prompt: what is asked of a critic or judge, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["a", "b", "tie", "unparsable"]
OneOrder = Literal["ab", "ba"]
SHARE: dict[str, float] = {"a": 1.0, "b": 0.0, "tie": 0.5}
SWAPPED: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie", "unparsable": "unparsable"}


@dataclass(frozen=True)
class Comparison:
    """Two completions of one prompt."""

    prompt_id: str
    prompt: str
    a: str
    b: str


@dataclass(frozen=True)
class Candidate:
    """One completion of a prompt, to be scored."""

    prompt_id: str
    prompt: str
    completion: str


@dataclass(frozen=True)
class Verdicts:
    """A critic's verdicts on one comparison, by content: `a` means that completion a is better.

    ab was given with a shown first, ba with b shown first; None where that order was not asked. A critic that knows no
    order (a score, recorded labels, offline ones) gives ab alone. Only where one order of two was asked does
    `order_asked` say which.

    `settled` is the preference where the mean of the verdicts is not all there is to say (probabilities, a rule for
    flips, votes). `score_a` and `score_b` are what a critic that scores gave each completion. `votes` are an ensemble's
    members' own verdicts, in their order.
    """

    ab: Verdict | None
    ba: Verdict | None
    raw_ab: str | None = None
    raw_ba: str | None = None
    order_asked: OneOrder | None = None
    settled: float | None = None
    score_a: float | None = None
    score_b: float | None = None
    votes: tuple[Verdicts, ...] | None = None

    @property
    def preference(self) -> float | None:
        """How much a is preferred, in [0, 1], a tie .5; None if any answer was unparsable."""
        given = [verdict for verdict in (self.ab, self.ba) if verdict is not None]
        if not given or "unparsable" in given:
            return None
        return sum(SHARE[verdict] for verdict in given) / len(given) if self.settled is None else self.settled

    @property
    def margin(self) -> float | None:
        """How many points a's score is above b's; None where nothing was scored."""
        return None if self.score_a is None or self.score_b is None else self.score_a - self.score_b

    @property
    def flipped(self) -> bool:
        """Whether the two orders contradict each other."""
        return {self.ab, self.ba} == {"a", "b"}

    def columns(self) -> dict[str, Any]:
        """What PREFERENCES and JUDGEMENTS keep of it alike."""
        return {
            "verdict_ab": self.ab,
            "verdict_ba": self.ba,
            "raw_ab": self.raw_ab,
            "raw_ba": self.raw_ba,
            "order_asked": self.order_asked,
            "score_a": self.score_a,
            "score_b": self.score_b,
            "margin": self.margin,
            "votes": None if self.votes is None else [vote.vote() for vote in self.votes],
        }

    def vote(self) -> dict[str, Any]:
        """One member's part in an ensemble, as its `votes` keep it."""
        kept = ("verdict_ab", "verdict_ba", "raw_ab", "raw_ba", "order_asked", "margin")
        columns = self.columns()
        return {"preference": self.preference, **{name: columns[name] for name in kept}}


def by_score(score_a: float | None, score_b: float | None, raw: str) -> Verdicts:
    """The verdict of a critic that scores: the higher score wins, an equal one is a tie, a missing one says nothing."""
    if score_a is None or score_b is None:
        return Verdicts("unparsable", None, raw, score_a=score_a, score_b=score_b)
    verdict: Verdict = "tie" if score_a == score_b else "a" if score_a > score_b else "b"
    return Verdicts(verdict, None, raw, score_a=score_a, score_b=score_b)


def by_preference(preference: float) -> Verdict:
    """The verdict that a preference in [0, 1] amounts to."""
    return "tie" if preference == 0.5 else "a" if preference > 0.5 else "b"
