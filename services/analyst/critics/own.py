"""Self-preference: does a critic prefer what the same model wrote? Panickssery et al. 2024 (arXiv 2404.13076)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from services.analyst.critics.estimates import Estimate, absent, mean_difference, share
from services.analyst.critics.labels import Labels

Own = Collection[tuple[str, str]]
"""(prompt id, completion) of all that the critic's model wrote itself."""


@dataclass(frozen=True)
class SelfPreference:
    """`own_wins`: of pairs with a winner in which one completion is the critic's own, those that it won. `excess`: how
    much more the critic prefers it than `against` does on the same pairs (ties 1/2); only that is a bias, since its own
    may be the better one."""

    own_wins: Estimate
    excess: Estimate
    against: str | None = None


def self_preference(labels: Labels, own: Own, other: Labels | None, name: str | None) -> SelfPreference:
    """`other` are the labels to compare with: gold ones or a second critic's."""
    why = "no pair has a completion that the same model wrote"
    found = {key: text for key in labels.by_pair if (text := _own_text(key, own)) is not None}
    usable = [(labels.by_pair[key], text) for key, text in found.items() if labels.by_pair[key].preference is not None]
    if not usable:
        return SelfPreference(absent(why), absent(why))
    decided = [(label, text) for label, text in usable if label.decided]
    wins = np.array([label.winner == text for label, text in decided], dtype=np.float64)
    ids = [label.prompt_id for label, _ in decided]
    own_wins = share(wins, np.ones(len(decided)), ids, "pairs with a winner")
    both = []
    if other is not None:
        for label, text in usable:
            theirs = other.by_pair.get(label.key)
            if theirs is not None and theirs.preference is not None:
                both.append((label.prompt_id, label.for_text(text), theirs.for_text(text)))
    if not both:
        return SelfPreference(own_wins, absent("nobody else labelled these pairs, and its own may be the better one"))
    differences = np.array([mine - theirs for _, mine, theirs in both if mine is not None and theirs is not None])
    excess = mean_difference(differences, [prompt_id for prompt_id, _, _ in both], "pairs that both labelled")
    return SelfPreference(own_wins, excess, name)


def _own_text(key: tuple[str, str, str], own: Own) -> str | None:
    """The one of a pair's texts that is the critic's own; None where neither or both are."""
    mine = [text for text in key[1:] if (key[0], text) in own]
    return mine[0] if len(mine) == 1 else None
