"""Position bias: how often a critic contradicts itself when the order is turned, and how often the first shown wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.analyst.critics.estimates import Estimate, absent, balanced_share, share
from services.analyst.critics.labels import Label

NO_ORDER = "it was shown no order: it scores each completion alone, its members were asked, or its labels were recorded"
ALWAYS = "one model's completion was always shown first, so that a bias cannot be told from its being better"


@dataclass(frozen=True)
class Position:
    """`flip_rate`: of pairs answered in both orders, those whose orders name different winners. `first_place_rate`: of
    answers that name a winner, those that name the completion shown first; 1/2 without a bias, both orders together."""

    flip_rate: Estimate
    first_place_rate: Estimate


def position(labels: Sequence[Label]) -> Position:
    """The position bias in all labels whose order is known."""
    ordered = [label for label in labels if label.asked]
    if not ordered:
        return Position(absent(NO_ORDER), absent(NO_ORDER))
    return Position(_flips(ordered), _first_place(ordered))


def _flips(ordered: Sequence[Label]) -> Estimate:
    both = [label for label in ordered if label.asked == "both" and "unparsable" not in (label.ab, label.ba)]
    if not any(label.asked == "both" for label in ordered):
        return absent("every pair was shown in one order, so nothing could flip")
    flips = np.array([label.flipped for label in both], dtype=np.float64)
    return share(flips, np.ones(len(both)), [label.prompt_id for label in both], "pairs in both orders")


def _first_place(ordered: Sequence[Label]) -> Estimate:
    always = len({label.asked for label in ordered}) == 1 and ordered[0].asked != "both"
    if always and any(label.sides for label in ordered):
        return absent(ALWAYS)
    first = [(label.ab == "a") + (label.ba == "b") for label in ordered]
    last = [(label.ab == "b") + (label.ba == "a") for label in ordered]
    hits = np.array(first, dtype=np.float64)
    decided = hits + np.array(last, dtype=np.float64)
    kept = decided > 0
    if not kept.any():
        return absent("no answer named a winner")
    ids = [label.prompt_id for label, keep in zip(ordered, kept, strict=True) if keep]
    return balanced_share(hits[kept], decided[kept], ids, "answers that name a winner")
