"""What a card warns of, in words, each with the threshold it passed."""

from __future__ import annotations

from collections.abc import Iterator

from services.analyst.critics.card import CriticCard
from services.analyst.critics.estimates import Estimate

FIRST_PLACE = 0.05
"""So far from one half, in either direction, the first-place rate is a large position bias."""
FLIPS = 0.2
LONGER = 0.65
UNPARSABLE = 0.05
EXCESS = 0.05


def concerns_of(card: CriticCard) -> list[str]:
    """The biases that are large beyond doubt: the estimate passes its threshold, and its interval excludes none.

    Gold labels are taken as right, whatever they prefer.
    """
    return [] if card.gold else [text[0].upper() + text[1:] for text in _found(card)]


def _found(card: CriticCard) -> Iterator[str]:
    first, flips = card.position.first_place_rate, card.position.flip_rate
    if first.value is not None and abs(first.value - 0.5) > FIRST_PLACE and _excludes(first, 0.5):
        yield (
            f"a large position bias: {percent(first.value)} of its answers that name a winner name the completion "
            f"shown first (large: further than {percent(FIRST_PLACE)} from 50%)."
        )
    if flips.value is not None and flips.value > FLIPS:
        yield (
            f"it contradicts itself on {percent(flips.value)} of pairs when the order is turned (large: over "
            f"{percent(FLIPS)}). Flips measure inconsistency, not error."
        )
    longer = card.length.win_rate
    if longer.value is not None and longer.value > LONGER and _excludes(longer, 0.5):
        theirs = card.length.others.value
        beside = ""
        if theirs is not None:
            beside = f" By {card.beside}, of the pairs that both labelled, the longer wins {percent(theirs)}."
        yield (
            f"the longer completion wins {percent(longer.value)} of pairs with a winner (large: over "
            f"{percent(LONGER)}): what is trained or judged by it learns length, unless the longer ones are "
            f"better.{beside}"
        )
    if card.unparsable.value is not None and card.unparsable.value > UNPARSABLE:
        yield (f"{percent(card.unparsable.value)} of its labels could not be read (large: over {percent(UNPARSABLE)}).")
    excess = card.self_preference.excess
    if excess.value is not None and excess.value > EXCESS and _excludes(excess, 0.0):
        yield (
            f"it prefers its own model's completions {percent(excess.value)} more often than "
            f"{card.self_preference.against} does (large: over {percent(EXCESS)})."
        )


def percent(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f}%"


def _excludes(estimate: Estimate, value: float) -> bool:
    return estimate.interval is not None and not estimate.interval[0] <= value <= estimate.interval[1]
