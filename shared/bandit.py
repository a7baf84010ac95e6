"""`kind: bandit`: the paper's section 5 as an experiment of its own; a spec, and its plan.

Weak and strong policies over n actions, and a reward that is learned from the weak one's pairs; the arithmetic is in
services/analyst/bandit.py. It trains no model and asks nobody: it shows a mechanism, in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from shared.errors import BadInput, BadInputs
from shared.spec.base import SpecModel
from shared.spec.errors import field_errors, kind_of
from shared.spec.model import Name

KIND = "bandit"
MOST_WORK = 2e9
"""Actions squared times steps: some minutes."""
SMALLEST_LOG = -700.0
"""Below its exponential a double is nought."""


class BanditSettings(SpecModel):
    """The bandit; the paper's by default."""

    actions: int = Field(100, ge=2, le=1000, description="actions, of which a higher number is a better one")
    strong: float = Field(80.0, description="the strong teacher's centre, as an action's number")
    weak: float = Field(40.0, description="the weak student's centre")
    width: float = Field(300.0, gt=0, description="how wide both are: exp(-(action - centre)^2 / width)")
    pairs: int = Field(250_000, ge=1, le=100_000_000, description="labelled pairs, and demonstrations")
    beta: float = Field(0.1, gt=0, description="the KL penalty")
    steps: int = Field(7_500, ge=0, le=1_000_000, description="of descent for the reward; SFT takes twice as many")
    rate: float = Field(0.01, gt=0, le=1, description="of gradient descent")

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        last = self.actions - 1
        for name in ("strong", "weak"):
            if not 0 <= getattr(self, name) <= last:
                raise ValueError(f"{name} is {getattr(self, name):g}, and actions go from 0 to {last}; centre it there")
        furthest = max(max(centre, last - centre) for centre in (self.strong, self.weak))
        if -(furthest**2) / self.width < SMALLEST_LOG:
            least = furthest**2 / -SMALLEST_LOG
            raise ValueError(f"so small a width gives some actions no probability; write width: {least:.3g} or more")
        if self.actions**2 * self.steps > MOST_WORK:
            raise ValueError("so many actions and steps take too long; lower one of them")
        return self


class BanditSpec(SpecModel):
    """An experiment of `kind: bandit`."""

    kind: Literal["bandit"]
    name: Name
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        [0], min_length=1, max_length=100, description="of the draws of pairs and demonstrations"
    )
    bandit: BanditSettings = BanditSettings()


def is_bandit(spec: Any) -> bool:
    """Whether a spec, as plain data, is of this kind."""
    return isinstance(spec, Mapping) and spec.get("kind") == KIND


def parse_bandit(data: Mapping[str, Any]) -> BanditSpec:
    """Check a spec of this kind.

    Raises:
        BadInputs: with one error for each mistake found.
    """
    settings = data.get("bandit", {})
    if not isinstance(settings, Mapping):
        raise BadInput("bandit", f"is {kind_of(settings)}", "Write a mapping, such as {weak: 40, strong: 80}.")
    try:
        spec = BanditSpec.model_validate(dict(data))
    except ValidationError as error:
        raise BadInputs(field_errors(error, BanditSpec)) from None
    if len(set(spec.seeds)) != len(spec.seeds):
        raise BadInput("seeds", "the same seed stands there twice", "Give each seed once.")
    return spec
