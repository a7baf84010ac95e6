"""What `alpaca_eval` and `length_controlled` share: a judge, a reference that arms are judged against, temperatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from shared.protocols.base import Builder, Evaluation, JudgedArm
from shared.protocols.pairwise import AT_TEMPERATURES, AtTemperatures, against_reference, temperatures_of


class Referenced(Evaluation):
    """The fields of both, and the judge stage that they need."""

    judge: str = Field(description="a name under `models` that can compare")
    reference: str = Field(description="a name under `models` whose completions the arms are judged against")
    temperature: AtTemperatures = Field(0.7, description=AT_TEMPERATURES)

    def temperatures(self) -> Sequence[float]:
        return temperatures_of(self.temperature)

    def models(self) -> Mapping[str, str]:
        return {"judge": self.judge, "reference": self.reference}

    def judged(self, build: Builder, arm: JudgedArm, temperature: float | None, order: str | None) -> str:
        """The key of the judge stage, where pairs are shown in `order`."""
        return against_reference(build, arm, temperature, self.judge, self.reference, order)
