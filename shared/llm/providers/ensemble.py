"""`ensemble`: several critics of the spec as one; each one's vote is kept."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shared.llm.providers.base import ModelSpec

MEMBERS = "members/"
"""What a member's inputs are named by: `members/0/towards`."""


class EnsembleModel(ModelSpec):
    """A critic or judge made of other models of the spec. Each is asked as its own entry says."""

    provider: Literal["ensemble"]
    members: list[str] = Field(min_length=2, description="names under `models` that can compare")
    vote: Literal["majority", "mean"] = Field(
        "majority", description="the verdict with the most votes, else a tie; or the mean of the preferences"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.members)) < len(self.members):
            raise ValueError("the same member stands there twice; give each once")
        return self

    @property
    def can_compare(self) -> bool:
        return True

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.members)

    def identity(self) -> dict[str, Any]:
        """Without its members, which are names: the plan adds who they are."""
        return {"provider": "ensemble", "vote": self.vote}
