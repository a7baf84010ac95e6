"""Win rate against a reference's completions: a judge compares, both orders are averaged, a tie is 50."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AfterValidator, Field, Tag

from shared import records
from shared.comparisons import Comparison, Verdicts
from shared.protocols.base import Builder, Evaluation, TrainedArm
from shared.protocols.gold import Gold
from shared.specbase import BY_SHAPE, LIST, PLAIN


def _each_once(values: list[float]) -> list[float]:
    if len(set(values)) < len(values):
        raise ValueError("the same temperature stands there twice; give each once")
    return values


Temperature = Annotated[float, Field(ge=0, le=100)]
Temperatures = Annotated[list[Temperature], Field(min_length=1), AfterValidator(_each_once)]


class Pairwise(Evaluation):
    """`protocol: pairwise`."""

    protocol: Literal["pairwise"]
    judge: str = Field(description="a name under `models` that can compare")
    reference: str = Field(description="a name under `models` whose completions the arms are judged against")
    temperature: Annotated[Annotated[Temperature, Tag(PLAIN)] | Annotated[Temperatures, Tag(LIST)], BY_SHAPE] = Field(
        0.7, description="sampling temperature, or several side by side"
    )
    gold: Gold | None = Field(None, description="labels that are right, to correct the primary contrast with")

    def temperatures(self) -> Sequence[float]:
        given = self.temperature if isinstance(self.temperature, list) else [self.temperature]
        return [float(value) for value in given]

    def models(self) -> Mapping[str, str]:
        return {"judge": self.judge, "reference": self.reference}

    def plan(self, build: Builder, arm: TrainedArm, temperature: float | None) -> str:
        assert temperature is not None
        inputs = {"samples": build.samples(arm, temperature), "reference": build.completions(self.reference)}
        return build.judge("pairwise", {"order": "both"}, inputs, self.judge)

    @classmethod
    def comparisons(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Comparison]:
        """The policy's completion as a, the reference's as b, for each prompt that has both."""
        reference = {row["prompt_id"]: row["completion"] for row in tables["reference"].to_pylist()}
        return [
            Comparison(row["prompt_id"], row["prompt"], row["completion"], reference[row["prompt_id"]])
            for row in tables["samples"].to_pylist()
            if row["prompt_id"] in reference
        ]

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        judged = {
            comparison.prompt_id: _row(comparison, verdict)
            for comparison, verdict in zip(cls.comparisons(tables, params), verdicts, strict=True)
        }
        missing = {"score": None, "valid": False}
        rows = [
            judged.get(row["prompt_id"]) or {"prompt_id": row["prompt_id"], "completion": row["completion"], **missing}
            for row in tables["samples"].to_pylist()
        ]
        return records.from_rows(rows, records.JUDGEMENTS)


def _row(comparison: Comparison, verdicts: Verdicts) -> dict[str, Any]:
    share = verdicts.preference
    return {
        "prompt_id": comparison.prompt_id,
        "score": None if share is None else 100.0 * share,
        "valid": share is not None,
        "completion": comparison.a,
        "reference": comparison.b,
        **verdicts.columns(),
    }
