"""`gold:` under an evaluation: labels that are right, of a random subset of the eval prompts."""

from __future__ import annotations

from pydantic import Field

from shared.spec.base import SpecModel

FEWEST = 10
"""Prompts with gold labels below which nothing can be corrected."""


class Gold(SpecModel):
    """What the primary contrast is shown corrected with; the verdict stays the judge's."""

    labels: str = Field(
        description="a name under `models` with `gold: true`: recorded preferences of the very completions, or a check"
    )
    n: int = Field(100, ge=FEWEST, description="prompts, chosen by hash, whose gold labels are used at most")
