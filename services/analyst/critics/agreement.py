"""Agreement of two labellers on the same pairs (Cohen's kappa, 1960), and errors where one is taken as right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa

from services.analyst.critics.estimates import Estimate, absent, half_width, share
from services.analyst.critics.labels import Label, Labels

Codes = NDArray[np.int64]
"""[pairs, 2]: what each of the two said."""


@dataclass(frozen=True)
class Agreement:
    """How far a critic agrees with another labeller, over three labels: the one, the other, a tie.

    `agree` is the share of equal labels, `kappa` what of it chance does not explain. `related`: one of the two is an
    ensemble and the other its member, so that they agree the more for it.
    """

    other: str
    gold: bool
    recorded: bool
    agree: Estimate
    kappa: Estimate
    related: bool = False


@dataclass(frozen=True)
class Errors:
    """Against gold labels: `rate` of wrong winners among pairs where both name one, `ties` the share of gold's decided
    pairs that the critic leaves undecided. Both are absent where there are no gold labels."""

    rate: Estimate
    ties: Estimate
    against: str | None = None


_NONE = absent("no gold labels: flips measure inconsistency, not error")
NO_GOLD = Errors(_NONE, _NONE)


def matched(one: Labels, other: Labels) -> list[tuple[Label, Label]]:
    """The pairs that both labelled, in either order."""
    return [
        (mine, theirs)
        for key, mine in one.by_pair.items()
        if mine.preference is not None and (theirs := other.by_pair.get(key)) and theirs.preference is not None
    ]


def agreement(one: Labels, other: Labels, name: str, gold: bool, recorded: bool) -> Agreement | None:
    """Agreement on the pairs that both labelled; None where there are none."""
    pairs = matched(one, other)
    if not pairs:
        return None
    ids = [mine.prompt_id for mine, _ in pairs]
    codes = np.array([_codes(mine, theirs) for mine, theirs in pairs])
    equal = (codes[:, 0] == codes[:, 1]).astype(np.float64)
    agree = share(equal, np.ones(len(pairs)), ids, "pairs that both labelled")
    return Agreement(name, gold, recorded, agree, kappa(codes, ids, agree))


def kappa(codes: Codes, prompt_ids: list[str], agree: Estimate) -> Estimate:
    """Cohen's kappa of two columns of labels 0, 1, 2, and its interval.

    1 - kappa is the ratio of disagreement to disagreement by chance; the interval is that of its logarithm, linearised,
    between prompts. The usual one (Fleiss, Cohen and Everitt 1969) is the same without the logarithm: it holds the
    truth in 82% of tables of 150 pairs at a kappa of .96, and knows no prompts with several pairs. Where the two never
    disagree, its end is that of the observed agreement.
    """
    if agree.value is None or agree.interval is None:
        return agree
    table = np.zeros((3, 3))
    np.add.at(table, (codes[:, 0], codes[:, 1]), 1.0)
    shares = table / table.sum()
    mine, theirs = shares.sum(axis=1), shares.sum(axis=0)
    chance = float(mine @ theirs)
    if np.isclose(chance, 1.0):
        why = "each of the two always said the same: kappa is not defined"
        return absent(why, agree.n, agree.prompts)
    value = float(cohens_kappa(table, return_results=False))
    if np.isclose(max(mine.max(), theirs.max()), 1.0):
        why = "one of the two always said the same, so that it is 0 whatever the other says"
        return Estimate(value, None, agree.n, agree.prompts, why)
    differ = (codes[:, 0] != codes[:, 1]).astype(np.float64)
    if not differ.any():
        return Estimate(value, ((agree.interval[0] - chance) / (1 - chance), value), agree.n, agree.prompts)
    by_chance = theirs[codes[:, 0]] + mine[codes[:, 1]]
    influence = differ / differ.mean() - 1 + (by_chance - 2 * chance) / (1 - chance)
    factor = float(np.exp(half_width(influence, prompt_ids)))
    return Estimate(value, (1 - (1 - value) * factor, 1 - (1 - value) / factor), agree.n, agree.prompts)


def errors(one: Labels, gold: Labels, name: str) -> Errors:
    """A critic's errors against gold labels of the same pairs."""
    settled = [(mine, right) for mine, right in matched(one, gold) if right.decided]
    decided = [(mine, right) for mine, right in settled if mine.decided]
    wrong = np.array([mine.winner != right.winner for mine, right in decided], dtype=np.float64)
    tied = np.array([not mine.decided for mine, _ in settled], dtype=np.float64)
    return Errors(
        share(wrong, np.ones(len(decided)), _ids(decided), "pairs where both name a winner"),
        share(tied, np.ones(len(settled)), _ids(settled), "pairs with a gold winner"),
        name,
    )


def _ids(pairs: Sequence[tuple[Label, Label]]) -> list[str]:
    return [mine.prompt_id for mine, _ in pairs]


def _codes(mine: Label, theirs: Label) -> tuple[int, int]:
    """What each said: 0 the first completion, 1 a tie, 2 the second; as both labellers have the pair, or, where they
    have it in two orders, in that of the texts."""
    first = mine.a if mine.a == theirs.a else min(mine.a, mine.b)

    def code(winner: str | None) -> int:
        return 1 if winner is None else 0 if winner == first else 2

    return code(mine.winner), code(theirs.winner)
