"""One critic's or judge's card, from all of its labels in an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from services.analyst.critics.agreement import NO_GOLD, Agreement, Errors, agreement, errors, matched
from services.analyst.critics.estimates import Estimate, share
from services.analyst.critics.labels import Labels
from services.analyst.critics.length import Length, length
from services.analyst.critics.own import Own, SelfPreference, self_preference
from services.analyst.critics.position import Position, position

Role = Literal["critic", "judge", "member", "check", "labels"]


@dataclass(frozen=True)
class Spent:
    """What a critic's stages took: US dollars, None where the spec says that its price is unknown; and tokens, None
    where it was asked over no endpoint."""

    usd: float | None = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True)
class Labeller:
    """One model of the spec as the labeller of an experiment's pairs.

    `stages` has the stages that it labelled by role: critic (pairs to train on), judge (evaluation), member (of an
    ensemble that labelled), check (recorded pairs, to compare), labels (recorded labels themselves). `missing` of them
    are not there yet. An ensemble has `members`, by name.
    """

    name: str
    provider: str
    labels: Labels
    stages: Mapping[Role, tuple[str, ...]]
    gold: bool = False
    recorded: bool = False
    own: Own = frozenset()
    members: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)
    missing: int = 0


@dataclass(frozen=True)
class CriticCard:
    """What is known of a critic. Rates are shares in [0, 1], lengths characters, money US dollars.

    `beside` is whose labels of the same pairs its length bias and self-preference are held against: gold ones, or those
    of whoever labelled most of the same pairs, but for its own members and the ensembles that it is a member of.
    `pairs` are distinct ones, `repeated` those that occurred again, `identical` those that nobody asks about;
    `labels` are all that could be read, repeated ones included, as `spent` is of all stages' answers, whoever paid.
    """

    name: str
    provider: str
    gold: bool
    recorded: bool
    stages: Mapping[Role, tuple[str, ...]]
    missing: int
    pairs: int
    repeated: int
    identical: int
    ties: Estimate
    unparsable: Estimate
    position: Position
    length: Length
    beside: str | None
    agreement: tuple[Agreement, ...]
    errors: Errors
    self_preference: SelfPreference
    spent: Spent
    labels: int
    members: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()

    def per_label(self, total: float | None) -> float | None:
        """So much of a total is each label's; None where there is none."""
        return None if total is None or not self.labels else total / self.labels


def cards(labellers: Mapping[str, Labeller]) -> tuple[CriticCard, ...]:
    """The card of every labeller that has labelled something."""
    return tuple(card(one, labellers) for one in labellers.values() if one.labels.by_pair or one.labels.identical)


def card(one: Labeller, labellers: Mapping[str, Labeller]) -> CriticCard:
    """One labeller's card; the others are whom it is compared with."""
    every, usable = one.labels.all, one.labels.usable
    member_of = tuple(other.name for other in labellers.values() if one.name in other.members)
    others = [
        replace(found, related=other.name in (*one.members, *member_of))
        for other in labellers.values()
        if other.name != one.name
        if (found := agreement(one.labels, other.labels, other.name, other.gold, other.recorded)) is not None
    ]
    # Gold first, then whoever labelled most of the same pairs.
    others.sort(key=lambda found: (not found.gold, found.related, -found.agree.n, found.other))
    best = labellers[others[0].other] if others and not others[0].related else None
    ids = [label.prompt_id for label in every]
    unread = np.array([label.preference is None for label in every], dtype=np.float64)
    tied = np.array([not label.decided for label in usable], dtype=np.float64)
    return CriticCard(
        name=one.name,
        provider=one.provider,
        gold=one.gold,
        recorded=one.recorded,
        stages=one.stages,
        missing=one.missing,
        pairs=len(every),
        repeated=one.labels.repeated,
        identical=one.labels.identical,
        ties=share(tied, np.ones(len(usable)), [label.prompt_id for label in usable], "labels"),
        unparsable=share(unread, np.ones(len(every)), ids, "pairs"),
        position=position(every),
        length=length(usable, [] if best is None else [theirs for _, theirs in matched(one.labels, best.labels)]),
        beside=None if best is None else best.name,
        agreement=tuple(others),
        errors=errors(one.labels, best.labels, best.name) if best is not None and best.gold else NO_GOLD,
        self_preference=self_preference(
            one.labels, one.own, None if best is None else best.labels, None if best is None else best.name
        ),
        spent=one.spent,
        labels=one.labels.read,
        members=one.members,
        member_of=member_of,
    )
