"""The bill: tokens of answers, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.simulator.standin.faults import Prices


@dataclass
class Tokens:
    """A sum over answers; cached tokens are part of the input."""

    answers: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0

    def add(self, usage: Mapping[str, Any]) -> None:
        """Add an answer's usage, in OpenAI's shape."""
        self.answers += 1
        self.input_tokens += usage["prompt_tokens"]
        self.cached_input_tokens += usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
        self.output_tokens += usage["completion_tokens"]

    def plus(self, other: Tokens) -> Tokens:
        return Tokens(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    def usd(self, prices: Prices) -> float:
        cached = prices.input if prices.cached_input is None else prices.cached_input
        fresh = self.input_tokens - self.cached_input_tokens
        return (fresh * prices.input + self.cached_input_tokens * cached + self.output_tokens * prices.output) / 1e6

    def to_json(self, prices: Prices, share: float = 1.0) -> dict[str, Any]:
        return asdict(self) | {"usd": self.usd(prices) * share}


class Bill:
    """What was asked of a model (`arrived`), and what of it was fully written to its client (`written`)."""

    def __init__(self) -> None:
        self.arrived = Tokens()
        self.written = Tokens()

    def to_json(self, prices: Prices, batches: Tokens) -> dict[str, Any]:
        """With the rows that batches answered, at a batch's price; `usd` is what was written and the batches."""
        parts = {
            "arrived": self.arrived.to_json(prices),
            "written": self.written.to_json(prices),
            "batches": batches.to_json(prices, prices.batch),
        }
        return parts | {"usd": parts["written"]["usd"] + parts["batches"]["usd"]}
