"""The reward that a sequence-classification checkpoint gives each completion, on its own scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from shared import records
from shared.errors import FieldError
from shared.llm.providers import ModelSpec
from shared.llm.providers.reward_model import RewardModel
from shared.plan.comparisons import Verdicts
from shared.protocols.base import Builder, JudgedArm
from shared.protocols.sampled import Sampled
from shared.scales import REWARD
from shared.spec.names import one_of


class Reward(Sampled):
    """`protocol: reward_model`. Rewards have no ends and no zero: only differences say something, in units of this
    model's reward. An arm that was trained on the same model's preferences is likely to please it more than others
    (Gao et al. 2022, arXiv 2210.10760); the report says where that is so.
    """

    protocol: Literal["reward_model"]
    model: str = Field(description="a name under `models` with provider reward_model")
    unit: ClassVar[str] = REWARD

    def models(self) -> Mapping[str, str]:
        return {"model": self.model}

    @property
    def method(self) -> str:
        return f"rewards of {self.model}"

    def model_errors(self, models: Mapping[str, ModelSpec]) -> Iterator[FieldError]:
        if not isinstance(models[self.model], RewardModel):
            fitting = [name for name, one in models.items() if isinstance(one, RewardModel)]
            fix = one_of(fitting) if fitting else "Add a model with `provider: reward_model`."
            yield FieldError("model", f"{self.model} (provider {models[self.model].provider}) gives no rewards", fix)

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        assert temperature is not None
        samples = build.samples(arm, temperature)
        rewards = build.rewards(self.model, samples)
        return build.judge("reward_model", {}, {"samples": samples, "rewards": rewards}, None)

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        rewards = {(row["prompt_id"], row["completion"]): row["reward"] for row in tables["rewards"].to_pylist()}
        rows = []
        for row in tables["samples"].to_pylist():
            reward = rewards.get((row["prompt_id"], row["completion"]))
            known = reward is not None and math.isfinite(reward)
            rows.append(
                {
                    "prompt_id": row["prompt_id"],
                    "score": reward if known else None,
                    "valid": known,
                    "completion": row["completion"],
                }
            )
        return records.from_rows(rows, records.JUDGEMENTS)
