"""A critic or judge as a stage's params and options describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.asking import Ask, read_ask
from shared.llm.endpoints import Endpoint


@dataclass(frozen=True)
class Critic:
    """`identity` says who it is, `ask` how it is asked, `options` how it is reached."""

    identity: Mapping[str, Any]
    ask: Ask
    options: Mapping[str, Any]

    @classmethod
    def of(cls, params: Mapping[str, Any], field: str, options: Mapping[str, Any]) -> Critic:
        """The one under `field` of the params (`critic` or `judge`)."""
        return cls(params[field], read_ask(params), options)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint.from_options(self.options)
