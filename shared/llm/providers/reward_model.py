"""`reward_model`: a critic that is a sequence-classification checkpoint; the higher reward wins.

The checkpoint runs on the inference queue (the stage `reward`); what it gave each completion is an input here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from shared.llm.providers.base import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.plan.comparisons import Candidate

REWARDS = "rewards/"
"""What the inputs with rewards are named by: `rewards/samples` are those of the input `samples`."""


class RewardModel(ModelSpec):
    """A critic or judge without an endpoint."""

    provider: Literal["reward_model"]
    model: str = Field(min_length=1, description="a hub's name, or `model:NAME` for one that was uploaded")
    precision: Literal["float32", "bfloat16"] = "float32"
    max_length: int | None = Field(
        None, ge=8, description="most tokens of prompt and completion; None: as many as it takes"
    )
    batch_size: int = Field(16, ge=1, le=1024, description="completions that are scored together")
    pinned: dict[str, str] | None = Field(None, description="the checkpoint; filled in when the spec is resolved")
    measure: ClassVar[str] = "reward"

    @property
    def can_compare(self) -> bool:
        return True

    @property
    def can_reward(self) -> bool:
        return True

    @property
    def offline(self) -> bool:
        return True

    @property
    def base_model(self) -> str | None:
        return self.model

    def identity(self) -> dict[str, Any]:
        length = {} if self.max_length is None else {"max_length": self.max_length}
        model = self.pinned or {"hub": self.model}
        return {"provider": "reward_model", "model": model, "dtype": self.precision, **length}

    def options(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size}

    @classmethod
    def scorer(cls, identity: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Callable[[Candidate], float | None]:
        rewards = {
            (row["prompt_id"], row["completion"]): row["reward"]
            for name, table in tables.items()
            if name.startswith(REWARDS)
            for row in table.to_pylist()
        }
        return lambda one: rewards.get((one.prompt_id, one.completion))
