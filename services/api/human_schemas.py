"""The shapes of answers about the human check."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class SheetRow(BaseModel):
    """Two completions of one prompt."""

    row: str = Field(description="what a vote names", examples=["1f0c2a9b-8d3e5f7a9b1c"])
    prompt: str
    left: str
    right: str


class SheetRows(BaseModel):
    items: list[SheetRow]


class OneVote(BaseModel):
    row: str
    vote: Literal["left", "right", "tie"]
    rater: str
    at: str = Field(description="ISO 8601, UTC")


class VoteList(BaseModel):
    items: list[OneVote]


class VotesAdded(BaseModel):
    """What came of votes that were sent."""

    id: str
    added: int
    superseded: int = Field(description="of them, votes that change an earlier one of the same rater")
    votes: int = Field(description="all votes on this experiment that count now")


class HumanCheck(BaseModel):
    """Votes until now, and what the newest report makes of those that it includes."""

    id: str
    votes: int
    superseded: int
    raters: dict[str, int] = Field(description="votes by rater", examples=[{"Ann": 93}])
    included: int = Field(description="votes that the newest report includes")
    up_to_date: bool = Field(description="false while a report with all votes is being made")
    trust: dict[str, Any] = Field(
        description="the report's `trust`, by cell ('' without a matrix): the primary contrast by judge, order and "
        "gold labels in `rows`, agreement with the judge in `people`"
    )
