"""`simulated`: a teacher, critic or judge of the simulated world with known faults, served over the OpenAI protocol.

The client is the one that talks to OpenAI; only the address is the operator's (`TOUCHSTONE_SIMULATOR_URL`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from shared.asking import DEFAULT, AnyAsk, Ask
from shared.llm.providers.base import Limits, ModelSpec, Price
from shared.world import names
from shared.world.models import CriticSettings, ModelSettings, TeacherSettings

if TYPE_CHECKING:
    from shared.llm.chat import ChatModel
    from shared.llm.endpoints import Endpoint
    from shared.settings import Settings

LONGEST_ANSWER = 64
"""Words that a simulated model answers at most."""
CRITIC_FIELDS = ("error_rate", "length_bias", "position_bias")


class SimulatedModel(ModelSpec):
    """With `accuracy` it is a teacher, else a critic."""

    provider: Literal["simulated"]
    accuracy: float | None = Field(None, ge=0, le=1, description="teacher: chance of a right answer")
    error_rate: float | None = Field(None, ge=0, le=1, description="critic: chance of a wrong verdict")
    length_bias: float | None = Field(None, ge=0, le=1, description="critic: chance of preferring the longer one")
    position_bias: float | None = Field(None, ge=0, le=1, description="critic: chance of preferring the first one")
    seed: int = Field(0, ge=0)
    limits: Limits = Limits()
    price: Price | None = Field(None, description="US dollars per million tokens, as if it cost something")
    ask: SerializeAsAny[AnyAsk] | None = Field(None, description="critic: how it is asked")

    @model_validator(mode="after")
    def _one_role(self) -> Self:
        given = [name for name in CRITIC_FIELDS if getattr(self, name) is not None]
        if self.accuracy is not None and given:
            raise ValueError(f"accuracy makes it a teacher and {given[0]} a critic; give one, and name a second model")
        if self.accuracy is not None and self.ask is not None:
            raise ValueError("accuracy makes it a teacher, which is asked for no verdict; remove `ask`")
        return self

    @property
    def can_teach(self) -> bool:
        return self.accuracy is not None

    @property
    def can_compare(self) -> bool:
        return self.accuracy is None

    @property
    def asks(self) -> Ask | None:
        return (self.ask or DEFAULT) if self.can_compare else None

    def settings(self) -> ModelSettings:
        """What the simulator is told to be."""
        if self.accuracy is not None:
            return TeacherSettings(accuracy=self.accuracy, seed=self.seed)
        given = {name: getattr(self, name) or 0.0 for name in CRITIC_FIELDS}
        return CriticSettings(seed=self.seed, **given)

    def identity(self) -> dict[str, Any]:
        return {"provider": "simulated", "model": names.encode(self.settings())}

    def options(self) -> dict[str, Any]:
        values: dict[str, Any] = {"limits": self.limits.model_dump(exclude_none=True), "max_tokens": LONGEST_ANSWER}
        return values | ({"price": self.price.model_dump(exclude_none=True)} if self.price else {})

    @classmethod
    def connect(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> ChatModel:
        from shared.llm.openai_chat import OpenAIChat

        return OpenAIChat(
            model=identity["model"],
            base_url=settings.simulator_url,
            api_key=None,
            connections=endpoint.limits.concurrency or settings.request_concurrency,
        )
