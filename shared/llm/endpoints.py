"""An endpoint as a worker is told of it: the options of a stage's model, which no key holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.llm.providers.base import Limits, Price

TIMEOUT = 300.0
"""Seconds that one request may take."""
LONGEST_ANSWER = 4096
"""Tokens that an answer may have where neither its request nor the model's options say."""


@dataclass(frozen=True)
class Endpoint:
    """`name` is the model's name in the spec, for errors; `api_key` is `env:NAME`, never a key itself; `batch`: it is
    asked through its Batch API; `max_tokens` bounds an answer whose request does not."""

    name: str
    api_key: str | None = None
    limits: Limits = field(default_factory=Limits)
    price: Price | None = None
    timeout: float = TIMEOUT
    batch: bool = False
    max_tokens: int = LONGEST_ANSWER

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Endpoint:
        """Read `ModelSpec.options()` and the `name` that the plan adds."""
        price = options.get("price")
        return cls(
            name=options.get("name", ""),
            api_key=options.get("api_key"),
            limits=Limits.model_validate(options.get("limits", {})),
            price=None if price is None else Price.model_validate(price),
            batch=options.get("mode") == "batch",
            max_tokens=options.get("max_tokens", LONGEST_ANSWER),
        )

    def to_options(self) -> dict[str, Any]:
        """What `from_options` needs to reach it again; limits and mode are left out."""
        values: dict[str, Any] = {"name": self.name, "api_key": self.api_key}
        return values | ({"price": self.price.model_dump()} if self.price else {})
