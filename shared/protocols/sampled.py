"""What protocols that score samples alone have in common: one temperature, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from shared.protocols.base import Evaluation
from shared.protocols.pairwise import AT_TEMPERATURES, AtTemperatures, temperatures_of


class Sampled(Evaluation):
    """A protocol that judges samples."""

    temperature: AtTemperatures = Field(0.7, description=AT_TEMPERATURES)

    def temperatures(self) -> Sequence[float]:
        return temperatures_of(self.temperature)
