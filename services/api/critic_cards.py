"""The shapes of critics' cards, as OpenAPI shows them; the analyst writes them into the report."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from services.api.schemas import Answer


class Estimate(BaseModel):
    """A number with its 95% interval; null where it cannot be estimated, and `why` says so."""

    estimate: float | None = Field(examples=[0.53])
    interval: tuple[float, float] | None = Field(examples=[[0.51, 0.56]])
    n: int = Field(description="pairs or answers that it is of", examples=[800])
    prompts: int = Field(description="prompts that they belong to", examples=[400])
    why: str | None = Field(examples=["no gold labels: flips measure inconsistency, not error"])


class Pairs(BaseModel):
    """Distinct pairs; those that occurred again; identical ones, which nobody is asked about."""

    distinct: int
    repeated: int
    identical: int


class Position(BaseModel):
    """Flips: pairs whose two orders name different winners. First place: answers that name the one shown first."""

    flip_rate: Estimate
    first_place_rate: Estimate


class LengthBin(BaseModel):
    """Pairs whose longer completion is `low` to `high` times as long as the other; `high` null: no limit."""

    low: float
    high: float | None
    pairs: int
    ties: int
    win_rate_longer: Estimate


class Length(BaseModel):
    """Win rates are of pairs with a winner; the slope is in log-odds a doubling of the length."""

    unit: Literal["characters"]
    win_rate_longer: Estimate
    ties: int
    slope_per_doubling: Estimate
    others_win_rate_longer: Estimate = Field(description="by gold labels or another critic, of the same pairs")
    others: str | None = Field(None, description="whose labels those are")
    bins: list[LengthBin]


class Agreement(BaseModel):
    """Equal labels and Cohen's kappa with another labeller, on the pairs that both labelled."""

    with_: str = Field(alias="with", examples=["human-labels"])
    gold: bool
    recorded: bool
    related: bool = Field(False, description="one of the two is an ensemble and the other its member")
    agree: Estimate
    kappa: Estimate


class Errors(BaseModel):
    """Against gold labels: wrong winners where both name one; gold's winners that the critic calls a tie."""

    against: str | None
    rate: Estimate
    ties: Estimate


class SelfPreference(BaseModel):
    """How often its own model's completion wins, and how much more often than by the labels of `against`."""

    own_wins: Estimate
    against: str | None
    excess: Estimate


class LabelCost(BaseModel):
    """US dollars (null: the price is unknown) and tokens (null: it was asked over no endpoint)."""

    labels: int
    usd: float | None
    usd_per_label: float | None
    input_tokens_per_label: float | None
    output_tokens_per_label: float | None


class CriticCard(Answer):
    """What a critic's or judge's own labels say of it. Rates are shares in [0, 1]."""

    provider: str = Field(examples=["openai"])
    roles: list[str] = Field(description="critic, judge, member (of an ensemble), check (recorded pairs) or labels")
    members: list[str] = Field([], description="an ensemble's; each has a card of its own, from its votes")
    member_of: list[str] = Field([], description="the ensembles that it votes in")
    gold: bool = Field(description="its labels are taken as right")
    recorded: bool
    stages: dict[str, list[str]] = Field(description="keys of the stages that it labelled, by role")
    missing: int = Field(description="how many of them are not there yet")
    pairs: Pairs
    ties: Estimate
    unparsable: Estimate
    position: Position
    length: Length
    agreement: list[Agreement]
    error: Errors
    self_preference: SelfPreference
    cost: LabelCost
    warnings: list[str] = Field(description="biases beyond their thresholds, in words")


class CriticCards(Answer):
    """Every critic and judge of an experiment by its name in the spec."""

    id: str
    partial: bool = Field(description="the experiment is not finished: numbers will change")
    critics: dict[str, CriticCard]
