"""Comparing two completions of one prompt: what is asked of a critic or judge, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["a", "b", "tie", "unparsable"]
SHARE: dict[str, float] = {"a": 1.0, "b": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class Comparison:
    """Two completions of one prompt."""

    prompt_id: str
    prompt: str
    a: str
    b: str


@dataclass(frozen=True)
class Verdicts:
    """A critic's verdicts on one comparison, by content: `a` means that completion a is better.

    ab was given with a shown first, ba with b shown first; None where that order was not asked (recorded labels,
    offline critics that have no order).
    """

    ab: Verdict | None
    ba: Verdict | None
    raw_ab: str | None = None
    raw_ba: str | None = None

    @property
    def preference(self) -> float | None:
        """The share of verdicts for a, a tie .5, in [0, 1]; None if any order's answer was unparsable."""
        given = [verdict for verdict in (self.ab, self.ba) if verdict is not None]
        if not given or "unparsable" in given:
            return None
        return sum(SHARE[verdict] for verdict in given) / len(given)

    @property
    def flipped(self) -> bool:
        """Whether the two orders contradict each other."""
        return {self.ab, self.ba} == {"a", "b"}
