"""Every arm against every other: a judge compares their samples, and a Bradley-Terry model rates them.

All pairs of arms on all prompts, or on each prompt as many pairs as `pairs_per_prompt` says, drawn by a hash: the same
ones for every seed, so that seeds share prompts here too. What the ratings are: services/analyst/arena.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from shared.canonical import sha256_hex
from shared.plan.comparisons import Comparison, Verdicts
from shared.protocols.base import Builder, Evaluation, JudgedArm
from shared.protocols.pairwise import AT_TEMPERATURES, AtTemperatures, Pairwise, battle, temperatures_of

DRAWN = "drawn"
"""The param of a stage that judges some prompts alone: which of how many pairs it is, and how many a prompt has."""


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("the same arm stands there twice; give each once")
    return values


class Arena(Evaluation):
    """`protocol: arena`. Ratings are on the Elo scale (400 points are odds of ten to one), their mean is 1000."""

    protocol: Literal["arena"]
    judge: str = Field(description="a name under `models` that can compare")
    arms: Annotated[list[str], Field(min_length=2), AfterValidator(_each_once)] | None = Field(
        None, description="who plays; None: every arm, starts too"
    )
    pairs_per_prompt: int | None = Field(
        None, ge=1, description="pairs of arms compared on each prompt, drawn by a hash; None: all"
    )
    temperature: AtTemperatures = Field(0.7, description=AT_TEMPERATURES)
    unit: ClassVar[str] = "Elo"
    pooled: ClassVar[bool] = True

    @property
    def together(self) -> bool:
        return True

    def temperatures(self) -> Sequence[float]:
        return temperatures_of(self.temperature)

    def models(self) -> Mapping[str, str]:
        return {"judge": self.judge}

    @property
    def against(self) -> frozenset[str] | None:
        return None if self.arms is None else frozenset(self.arms)

    def pairs_of(self, arms: Sequence[str]) -> list[tuple[str, str]]:
        return list(combinations((arm for arm in arms if self.arms is None or arm in self.arms), 2))

    def plan_together(
        self, build: Builder, arms: Mapping[str, JudgedArm], temperature: float | None
    ) -> dict[tuple[str, str], str]:
        pairs = self.pairs_of(list(arms))
        if self.pairs_per_prompt is None or self.pairs_per_prompt >= len(pairs):
            # The stages of a head-to-head comparison: whoever wants both pays once.
            return {(a, b): battle(build, arms[a], arms[b], temperature, self.judge) for a, b in pairs}
        found = {}
        for place, (a, b) in enumerate(pairs):
            assert temperature is not None
            inputs = {"samples": build.samples(arms[a], temperature), "reference": build.samples(arms[b], temperature)}
            drawn = {"pair": place, "of": len(pairs), "per_prompt": self.pairs_per_prompt}
            found[a, b] = build.judge("arena", {"order": "both", DRAWN: drawn}, inputs, self.judge)
        return found

    @classmethod
    def comparisons(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Comparison]:
        """The first arm's completion as a, the second's as b, for each prompt that this pair was drawn on."""
        return Pairwise.comparisons(_on_drawn(tables, params), params)

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        return Pairwise.rows(_on_drawn(tables, params), params, verdicts)


def _on_drawn(tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> dict[str, pa.Table]:
    """The tables, with the samples of those prompts alone that the stage's pair was drawn on."""
    drawn = params[DRAWN]
    ids = [
        prompt_id
        for prompt_id in pc.unique(tables["samples"]["prompt_id"]).to_pylist()
        if drawn["pair"] in drawn_pairs(prompt_id, drawn["of"], drawn["per_prompt"])
    ]
    kept = pc.is_in(tables["samples"]["prompt_id"], value_set=pa.array(ids, pa.string()))
    return {**tables, "samples": tables["samples"].filter(kept)}


@lru_cache(maxsize=16_384)
def drawn_pairs(prompt_id: str, of: int, per_prompt: int) -> frozenset[int]:
    """Which of `of` pairs, by their numbers, are compared on a prompt."""
    return frozenset(sorted(range(of), key=lambda pair: sha256_hex(f"{prompt_id}/{pair}"))[:per_prompt])
