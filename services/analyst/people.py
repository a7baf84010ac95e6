"""What people's votes say beside the judge's: agreement, shares of wins, and gold scores for the correction. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from services.analyst.critics.agreement import Agreement, agreement
from services.analyst.critics.estimates import Estimate, mean_difference
from services.analyst.critics.labels import Label, Labels
from services.analyst.gold import SAME, Differences
from shared.human import rank

MOST_BETWEEN = 15
"""Pairs of raters whose agreement is shown."""


@dataclass(frozen=True)
class VotedPair:
    """Two completions of a prompt that somebody voted on; shares are how much a is preferred, in [0, 1].

    `other` is the arm that wrote b, None of the reference. `judge` is None where the judge's answer was not valid.
    """

    arm: str
    other: str | None
    seed: int
    prompt_id: str
    a: str
    b: str
    judge: float | None
    votes: Mapping[str, float]

    @property
    def pooled(self) -> float:
        """The mean over raters."""
        return sum(self.votes.values()) / len(self.votes)


@dataclass(frozen=True)
class Voted:
    """All that people voted on of a report, or of a cell.

    `scores` are by arm and seed against the reference, 0 to 100, `leads` by seed how far the primary's arm A is ahead
    head to head, -100 to 100; both with the prompts whose two texts are the same, which nobody is asked about.
    `passed_over` prompts come before the last voted one in the order and have no vote.
    """

    pairs: tuple[VotedPair, ...] = ()
    votes: int = 0
    superseded: int = 0
    passed_over: int = 0
    scores: Mapping[str, Differences] = field(default_factory=dict)
    leads: Differences = field(default_factory=dict)


@dataclass(frozen=True)
class Rater:
    """One person, or all pooled: how many votes, and how far they agree with the judge on the same pairs."""

    name: str
    votes: int
    judge: Agreement | None


@dataclass(frozen=True)
class Wins:
    """How often `arm` is preferred over `other` (None: the reference), ties half, by people and by the judge on the
    same prompts; `difference` is people's minus the judge's. Shares in [0, 1]."""

    arm: str
    other: str | None
    people: Estimate
    judge: Estimate
    difference: Estimate


@dataclass(frozen=True)
class People:
    """The human check in a report. `between` has the agreement of each two raters."""

    votes: int
    superseded: int
    pairs: int
    passed_over: int
    raters: tuple[Rater, ...]
    pooled: Rater
    between: tuple[tuple[str, Agreement], ...]
    wins: tuple[Wins, ...]


def people(voted: Voted) -> People | None:
    """The human check; None where nobody voted."""
    if not voted.pairs:
        return None
    names = sorted({name for pair in voted.pairs for name in pair.votes})
    of = {name: _labels(voted.pairs, _vote_of(name)) for name in names}
    judge = _labels(voted.pairs, lambda pair: pair.judge)
    counts = {name: sum(name in pair.votes for pair in voted.pairs) for name in names}
    between = [
        (one, found)
        for one, other in combinations(names, 2)
        if (found := agreement(of[one], of[other], other, gold=False, recorded=False)) is not None
    ]
    pooled = _labels(voted.pairs, lambda pair: pair.pooled)
    return People(
        votes=voted.votes,
        superseded=voted.superseded,
        pairs=len(voted.pairs),
        passed_over=voted.passed_over,
        raters=tuple(Rater(name, counts[name], _with_judge(of[name], judge)) for name in names),
        pooled=Rater("all raters", sum(counts.values()), _with_judge(pooled, judge)),
        between=tuple(sorted(between, key=lambda found: -found[1].agree.n)[:MOST_BETWEEN]),
        wins=tuple(_wins(voted.pairs)),
    )


def _with_judge(one: Labels, judge: Labels) -> Agreement | None:
    return agreement(one, judge, "the judge", gold=False, recorded=False)


def _vote_of(name: str) -> Callable[[VotedPair], float | None]:
    return lambda pair: pair.votes.get(name)


def _labels(pairs: Iterable[VotedPair], share: Callable[[VotedPair], float | None]) -> Labels:
    labels = Labels()
    for pair in pairs:
        if (given := share(pair)) is not None:
            labels.add([Label(pair.prompt_id, pair.a, pair.b, given)])
    return labels


def _wins(pairs: Sequence[VotedPair]) -> Iterable[Wins]:
    """Of every two that were compared, on the pairs that the judge has judged too."""
    sides = dict.fromkeys((pair.arm, pair.other) for pair in pairs)
    for arm, other in sides:
        both = [
            (pair.pooled, pair.judge, pair.prompt_id)
            for pair in pairs
            if (pair.arm, pair.other) == (arm, other) and pair.judge is not None
        ]
        ids = [id for _, _, id in both]
        human, judge = (np.array([row[column] for row in both], dtype=np.float64) for column in (0, 1))
        noun = "voted pairs"
        yield Wins(
            arm,
            other,
            mean_difference(human, ids, noun),
            mean_difference(judge, ids, noun),
            mean_difference(human - judge, ids, noun),
        )


def with_same(voted: Mapping[str, float], same: Iterable[str], tie: float = SAME) -> dict[str, float]:
    """Votes by prompt with the ties that nobody was asked about: prompts with two equal texts, as far down the order
    as votes reach."""
    if not voted:
        return {}
    last = max(rank(id) for id in voted)
    return {**{id: tie for id in same if rank(id) <= last}, **voted}


def passed_over(voted: Iterable[str], every: Iterable[str]) -> int:
    """How many of `every` prompt come before the last voted one and have no vote."""
    there = set(voted)
    last = max((rank(id) for id in there), default="")
    return sum(id not in there and rank(id) < last for id in every)
