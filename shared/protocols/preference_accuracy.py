"""Preference accuracy: does the policy order held-out, recorded pairs as the annotator did?

For an SFT policy by log-likelihood; for an arm trained with preferences by the implicit reward, beta times the
difference of its own and its start's log-likelihood (Rafailov et al. 2023, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from shared import records
from shared.plan.comparisons import Verdicts
from shared.protocols.base import Builder, Evaluation, JudgedArm


class PreferenceAccuracy(Evaluation):
    """`protocol: preference_accuracy`. The score is 100 where the order agrees, averaged over a prompt's pairs."""

    protocol: Literal["preference_accuracy"]
    labels: str = Field(description="a name under `models`: recorded preferences that cover the eval prompts")
    per_prompt: int = Field(1, ge=1, description="pairs taken for each prompt")
    imitation: ClassVar[bool] = True

    def models(self) -> Mapping[str, str]:
        return {"labels": self.labels}

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        pairs = build.labelled(self.labels, self.per_prompt)
        inputs = {"preferences": pairs, "likelihoods": build.likelihoods(arm, arm.checkpoint, pairs, "preferences")}
        if arm.start is not None:
            inputs["start_likelihoods"] = build.likelihoods(arm, arm.start, pairs, "preferences")
        return build.judge("preference_accuracy", {}, inputs, None)

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        reward = _logprobs(tables["likelihoods"])
        if "start_likelihoods" in tables:
            start = _logprobs(tables["start_likelihoods"])
            reward = {place: value - start[place] for place, value in reward.items()}
        hits: dict[str, list[float]] = {}
        for row, pair in enumerate(tables["preferences"].to_pylist()):
            scores = hits.setdefault(pair["prompt_id"], [])
            if pair["preference"] is None or pair["preference"] == 0.5:
                continue
            if (row, "a") in reward and (row, "b") in reward:
                scores.append(_agreement(reward[row, "a"] - reward[row, "b"], pair["preference"] > 0.5))
        rows = [
            {"prompt_id": prompt_id, "score": sum(scores) / len(scores) if scores else None, "valid": bool(scores)}
            for prompt_id, scores in hits.items()
        ]
        return records.from_rows(rows, records.JUDGEMENTS)


def _agreement(margin: float, a_preferred: bool) -> float:
    if margin == 0.0:
        return 50.0
    return 100.0 if (margin > 0) == a_preferred else 0.0


def _logprobs(table: pa.Table) -> dict[tuple[int, str], float]:
    return {(row["row"], row["which"]): row["logprob"] for row in table.to_pylist()}
