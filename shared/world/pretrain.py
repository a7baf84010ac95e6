"""Settings of the base model that is made on the spot, in the simulated world (`base: {pretrain: ...}`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PretrainSettings(BaseModel):
    """First right answers, for ability; then a teacher's of `accuracy`, for the mixed behaviour of a base model."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(800, ge=1, description="training steps in all")
    mixed_steps: int = Field(200, ge=0, description="the last steps, on answers of a teacher of `accuracy`")
    accuracy: float = Field(0.25, ge=0, le=1, description="how often that teacher is right")
    width: int = Field(96, ge=8, multiple_of=8, description="the model's width")
    layers: int = Field(2, ge=1, description="the model's depth")
    learning_rate: float = Field(4e-3, gt=0, description="peak learning rate of the one-cycle schedule")
    batch_size: int = Field(64, ge=1, description="examples a step")
    seed: int = Field(0, ge=0, description="of the initial weights and the examples")

    @model_validator(mode="after")
    def _mixed_within_steps(self) -> PretrainSettings:
        if self.mixed_steps > self.steps:
            raise ValueError(
                f"mixed_steps ({self.mixed_steps}) must not exceed steps ({self.steps}); lower mixed_steps"
            )
        return self
