"""Length bias: how often the longer completion wins, by how much longer it is. Lengths are in characters.

Characters, because they need no tokenizer and are what recorded labels can be checked by; ratios, because what is much
for a sentence is little for an essay. That the longer one wins is no fault where it is better: `others` is what gold
labels, or a second critic, say of the same pairs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

from services.analyst.critics.estimates import Estimate, Floats, absent, groups_of, share, too_few
from services.analyst.critics.labels import Label

EDGES = (1.0, 1.1, 1.25, 1.5, 2.0, 4.0, np.inf)
"""How many times as long the longer one is: the limits of the bins."""
STEEPEST = 20.0
"""A log-odds beyond which a slope is taken as infinite."""


@dataclass(frozen=True)
class Bin:
    """Pairs whose longer completion is at least `low` and less than `high` times as long; `high` None: no limit.

    `win_rate` is of those with a winner, `ties` counts the others.
    """

    low: float
    high: float | None
    pairs: int
    ties: int
    win_rate: Estimate


@dataclass(frozen=True)
class Length:
    """`win_rate`: of pairs with a winner and unequal lengths, those that the longer one won. `slope`: the log-odds of
    winning that each doubling of the length gives, by logistic regression with errors clustered by prompt. `others`:
    the win rate of the longer one by another's labels of the same pairs."""

    win_rate: Estimate
    ties: int
    bins: tuple[Bin, ...]
    slope: Estimate
    others: Estimate


def length(labels: Sequence[Label], theirs: Sequence[Label] = ()) -> Length:
    """The length bias in labels that could be read; `theirs` are another's of some of the same pairs."""
    unequal = [label for label in labels if label.preference is not None and len(label.a) != len(label.b)]
    ratios = [_ratio(label) for label in unequal]
    bins = []
    for low, high in pairwise(EDGES):
        inside = [label for label, ratio in zip(unequal, ratios, strict=True) if low <= ratio < high]
        ties = sum(not label.decided for label in inside)
        bins.append(Bin(low, None if np.isinf(high) else high, len(inside), ties, _longer_wins(inside)))
    return Length(
        win_rate=_longer_wins(unequal),
        ties=sum(not label.decided for label in unequal),
        bins=tuple(bins),
        slope=length_slope(labels),
        others=_longer_wins([label for label in theirs if len(label.a) != len(label.b)])
        if theirs
        else absent("nobody else labelled these pairs"),
    )


def _ratio(label: Label) -> float:
    """How many times as long the longer one is; an empty completion counts as one character."""
    short, long = sorted((len(label.a), len(label.b)))
    return long / max(short, 1)


def doublings(label: Label) -> float:
    """By how many doublings a is longer than b; an empty completion counts as one character."""
    return float(np.log2(max(len(label.a), 1) / max(len(label.b), 1)))


def _longer_wins(labels: Sequence[Label]) -> Estimate:
    decided = [label for label in labels if label.decided]
    longer = np.array([label.winner == max(label.a, label.b, key=len) for label in decided], dtype=np.float64)
    return share(longer, np.ones(len(decided)), [label.prompt_id for label in decided], "pairs with a winner")


def length_slope(labels: Sequence[Label]) -> Estimate:
    """The slope of log-odds(a wins) on the doublings of a's length over b's.

    Where sides have a meaning (a policy's against a reference's), that side's own strength is fitted beside it; pairs
    of a sort in which one side always wins say nothing of length.
    """
    every = [label for label in labels if label.decided]
    decided, sorts = _contested(every)
    if every and not decided:
        why = "one side won every time, so that its length cannot be told from what it is"
        return absent(why, len(every), len({label.prompt_id for label in every}))
    ids = [label.prompt_id for label in decided]
    if (few := too_few(len(decided), len(set(ids)), "pairs with a winner")) is not None:
        return few
    none = absent("", len(decided), len(set(ids)))
    x = np.array([doublings(label) for label in decided])
    if not x.any():
        return replace(none, why="all pairs are of equal length")
    y = np.array([label.winner == label.a for label in decided], dtype=np.float64)
    towards_longer = (y > 0.5) == (x > 0)
    if towards_longer[x != 0].all() or not towards_longer[x != 0].any():
        which = "longer" if towards_longer[x != 0].all() else "shorter"
        return replace(none, why=f"the {which} one won every time: the slope has no limit")
    strengths = [np.array([label.sides == sort for label in decided], dtype=np.float64) for sort in sorts]
    found = _fit(y, np.column_stack([x, *strengths]), ids)
    return replace(none, why="length separates the winners: the slope has no limit") if found is None else found


def _contested(decided: Sequence[Label]) -> tuple[list[Label], list[str]]:
    """The labels but for those of a sort of pairs in which one side won every time; and the sorts that are left."""
    wins: dict[str, set[bool]] = {}
    for label in decided:
        wins.setdefault(label.sides, set()).add(label.winner == label.a)
    kept = [label for label in decided if not label.sides or len(wins[label.sides]) == 2]
    return kept, sorted({label.sides for label in kept} - {""})


def _fit(y: Floats, columns: Floats, ids: list[str]) -> Estimate | None:
    """The first column's coefficient; None where there is no finite one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fit = Logit(y, columns).fit(
                disp=0, maxiter=100, cov_type="cluster", cov_kwds={"groups": groups_of(ids)}, use_t=True
            )
        except (ConvergenceWarning, PerfectSeparationWarning, np.linalg.LinAlgError):
            return None
    slope, (low, high) = float(fit.params[0]), (float(end) for end in fit.conf_int()[0])
    if not np.isfinite([slope, low, high]).all() or abs(slope) > STEEPEST:
        return None
    return Estimate(slope, (low, high), len(y), len(set(ids)))
