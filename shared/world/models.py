"""Settings of simulated teachers, critics and judges: what is known about them, and all that is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]


class SimulatedModelSettings(BaseModel):
    """Frozen and strict: the settings are a model's identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TeacherSettings(SimulatedModelSettings):
    """A teacher that answers right with probability `accuracy`, else with a corrupted answer."""

    role: Literal["teacher"] = "teacher"
    accuracy: Probability
    seed: int = Field(0, ge=0)


class CriticSettings(SimulatedModelSettings):
    """A critic (or a judge, which is one used for evaluation) that knows the true reward and errs in known ways."""

    role: Literal["critic", "judge"] = "critic"
    error_rate: Probability = 0.0
    """Chance to be wrong about a pair, in whichever order it is shown."""
    position_bias: Probability = 0.0
    """Chance to say A, whatever is shown there; drawn anew for each order."""
    length_bias: Probability = 0.0
    """Chance to prefer the longer answer of a pair, in whichever order it is shown."""
    seed: int = Field(0, ge=0)


ModelSettings = TeacherSettings | CriticSettings
