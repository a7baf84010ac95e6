"""What a training step of a spec may try: settings side by side, and checkpoints along one training."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from shared.spec.base import SpecModel


class Swept(SpecModel):
    """A step whose settings or length may be chosen on the dev prompts; `args` are TRL's."""

    args: dict[str, Any] = {}
    sweep: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None,
        description="values to try, by TRL's names, of rl also beta: each with each of the others; the one that does "
        "best on the dev prompts is the arm's",
    )
    checkpoints: int = Field(
        1, ge=1, le=64, description="how many states of a training are tried, equally far apart; the last is its end"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="early stopping: of a training's checkpoints, in their order, those after so many in a row that "
        "brought no better one do not count; they are trained and judged all the same",
    )


class Tuning(SpecModel):
    """How settings are chosen, of all arms alike."""

    evaluation: str | None = Field(
        None, description="by which evaluation on dev (`win-rate@0.7`); None: the primary one's, at its temperature"
    )
    unequal_trials: bool = Field(False, description="let arms try unequal numbers of settings; the report says so")
