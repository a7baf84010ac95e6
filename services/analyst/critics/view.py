"""A card as the page shows it: sentences and table rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from services.analyst.critics.agreement import Agreement
from services.analyst.critics.card import CriticCard
from services.analyst.critics.concerns import concerns_of
from services.analyst.critics.estimates import Estimate
from services.analyst.critics.figure import length_figure
from services.analyst.wording import number

ROLES = {"critic": "labels pairs to train on", "judge": "judges evaluations", "check": "was checked on recorded pairs"}


@dataclass(frozen=True)
class Row:
    """One measure: its value and interval as text, over how many; `why` instead of them where there is none."""

    measure: str
    hint: str
    value: str
    interval: str
    n: str
    why: str = ""


@dataclass(frozen=True)
class View:
    """One critic on the page."""

    name: str
    who: str
    rows: tuple[Row, ...]
    concerns: tuple[str, ...]
    figure: Markup | None


def views(cards: Sequence[CriticCard]) -> list[View]:
    """One for each card."""
    return [_view(card, place) for place, card in enumerate(cards)]


def _view(card: CriticCard, place: int) -> View:
    svg = length_figure(card.length, f"critic{place}", card.name)
    return View(card.name, who(card), tuple(rows(card)), tuple(concerns_of(card)), None if svg is None else Markup(svg))


def who(card: CriticCard) -> str:
    """What it is and did, in one line."""
    done = [text for role, text in ROLES.items() if role in card.stages]
    if card.recorded:
        done = ["recorded labels, " + ("taken as gold" if card.gold else "not declared as gold")]
    elif card.gold:
        done.append("taken as gold")
    if card.members:
        done.append(f"an ensemble of {_and(card.members)}")
    if card.member_of:
        done.append(f"votes in {_and(card.member_of)}")
    parts = [f"provider {card.provider}", *done, _count(card.pairs, "pair")]
    if card.repeated:
        parts.append(f"{card.repeated:,} that occurred again are counted once")
    if card.identical:
        parts.append(f"{card.identical:,} identical ones were not asked about")
    if card.missing:
        parts.append(f"{card.missing} of its stages are pending")
    return "; ".join(parts)


def rows(card: CriticCard) -> Iterator[Row]:
    """The table, the weightiest first."""
    position, length, own = card.position, card.length, card.self_preference
    if not card.recorded:
        yield _share("Flip rate", "the order turned, another winner", position.flip_rate)
        yield _share("First-place rate", "50% without a position bias", position.first_place_rate)
    yield _share("The longer one wins", "of pairs with a winner; lengths in characters", length.win_rate)
    if length.others.value is not None:
        yield _share("… by another's labels", f"by {card.beside}, of pairs that both labelled", length.others)
    yield _number("Length slope", "log-odds a doubling of the length", length.slope)
    for one in card.agreement:
        yield _number(
            f"Kappa with {one.other}", f"{_kind(one, card)}; {_percent(one.agree)} of labels are equal", one.kappa
        )
    if not card.gold:
        against = f"wrong winners by {card.errors.against}" if card.errors.against else "wrong winners"
        yield _share("Error rate", against, card.errors.rate)
    if own.own_wins.n or own.own_wins.value is not None:
        yield _share("Its own wins", "pairs with one completion by the same model", own.own_wins)
        yield _share(
            "Self-preference", f"beyond that of {own.against}" if own.against else "beyond others'", own.excess
        )
    yield _share("Ties", "labels without a winner", card.ties)
    if not card.recorded:
        yield _share("Unparsable", "labels lost to answers that could not be read", card.unparsable)
        yield _cost(card)


def _kind(one: Agreement, card: CriticCard) -> str:
    if one.related:
        return "a member of it" if one.other in card.members else "it votes there itself"
    return "gold labels" if one.gold else "recorded labels" if one.recorded else "a second critic"


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _share(measure: str, hint: str, one: Estimate) -> Row:
    return _row(measure, hint, one, lambda value: f"{number(100 * value)}%")


def _number(measure: str, hint: str, one: Estimate) -> Row:
    return _row(measure, hint, one, lambda value: number(value, 2))


def _row(measure: str, hint: str, one: Estimate, text: Callable[[float], str]) -> Row:
    if one.value is None:
        return Row(measure, hint, "", "", "", one.why)
    hint = f"{hint}; {one.why}" if one.why else hint
    interval = "–" if one.interval is None else f"{text(one.interval[0])} to {text(one.interval[1])}"
    return Row(measure, hint, text(one.value), interval, f"{one.n:,}")


def _percent(one: Estimate) -> str:
    return "?" if one.value is None else f"{100 * one.value:.0f}%"


def _cost(card: CriticCard) -> Row:
    usd = card.per_label(card.spent.usd)
    tokens = [card.per_label(count) for count in (card.spent.input_tokens, card.spent.output_tokens)]
    if tokens[0] is None or tokens[1] is None:
        return Row("Cost of a label", "", "", "", "", "it was asked over no endpoint")
    used = f"{tokens[0]:,.0f} tokens in, {tokens[1]:,.0f} out"
    if usd is None:
        return Row("Cost of a label", used, "", "", "", "its price is unknown, as the spec says")
    hint = f"US dollars; {used}"
    return Row("Cost of a label", hint, f"{usd:.2g}" if usd else "0", "–", f"{card.labels:,}")


def _count(value: int, noun: str) -> str:
    return f"{value:,} {noun}{'' if value == 1 else 's'}"
