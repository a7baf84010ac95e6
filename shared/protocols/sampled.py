"""What protocols that sample the policy have in common: one temperature, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, Tag

from shared.protocols.base import Evaluation
from shared.specbase import BY_SHAPE, LIST, PLAIN


def _each_once(values: list[float]) -> list[float]:
    if len(set(values)) < len(values):
        raise ValueError("the same temperature stands there twice; give each once")
    return values


Temperature = Annotated[float, Field(ge=0, le=100)]
Temperatures = Annotated[list[Temperature], Field(min_length=1), AfterValidator(_each_once)]


class Sampled(Evaluation):
    """A protocol that judges samples."""

    temperature: Annotated[Annotated[Temperature, Tag(PLAIN)] | Annotated[Temperatures, Tag(LIST)], BY_SHAPE] = Field(
        0.7, description="sampling temperature, or several side by side"
    )

    def temperatures(self) -> Sequence[float]:
        given = self.temperature if isinstance(self.temperature, list) else [self.temperature]
        return [float(value) for value in given]
