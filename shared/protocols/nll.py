"""Negative log-likelihood per token of a model's completions on held-out prompts. It measures imitation, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from shared import records
from shared.plan.comparisons import Verdicts
from shared.protocols.base import Builder, Evaluation, JudgedArm


class Nll(Evaluation):
    """`protocol: nll`. The score is minus nats per token, so that more is better as everywhere else."""

    protocol: Literal["nll"]
    completions: str = Field(description="a name under `models` whose completions of the eval prompts are scored")
    unit: ClassVar[str] = "-nats/token"
    imitation: ClassVar[bool] = True

    def models(self) -> Mapping[str, str]:
        return {"completions": self.completions}

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        scored = build.likelihoods(arm, arm.checkpoint, build.completions(self.completions), "demonstrations")
        return build.judge("nll", {}, {"likelihoods": scored}, None)

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        rows = [
            {
                "prompt_id": row["prompt_id"],
                "score": row["logprob"] / row["tokens"] if row["tokens"] else None,
                "valid": bool(row["tokens"]),
            }
            for row in tables["likelihoods"].to_pylist()
        ]
        return records.from_rows(rows, records.JUDGEMENTS)
