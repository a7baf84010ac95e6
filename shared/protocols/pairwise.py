"""Win rate against a reference's completions, or between two arms: a judge compares, both orders are averaged, a tie
is 50.

Head to head the two arms' scores of a prompt add up to 100, so their difference of 2 points is 51 to 49. Against a
common reference the same two arms would differ by about half as much: both figures follow from one difference in
strength, and near even a win rate moves by a quarter of a log-odd, once with a reference and twice without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AfterValidator, Field, Tag

from shared import records
from shared.plan.comparisons import Comparison, Verdicts
from shared.protocols.base import Builder, Evaluation, JudgedArm
from shared.protocols.gold import Gold
from shared.spec.base import BY_SHAPE, LIST, PLAIN


def _each_once(values: list[float]) -> list[float]:
    if len(set(values)) < len(values):
        raise ValueError("the same temperature stands there twice; give each once")
    return values


Temperature = Annotated[float, Field(ge=0, le=100)]
Temperatures = Annotated[list[Temperature], Field(min_length=1), AfterValidator(_each_once)]
AtTemperatures = Annotated[Annotated[Temperature, Tag(PLAIN)] | Annotated[Temperatures, Tag(LIST)], BY_SHAPE]
AT_TEMPERATURES = "sampling temperature, or several side by side"


def temperatures_of(given: float | list[float]) -> list[float]:
    """One temperature or several, as several."""
    return [float(value) for value in (given if isinstance(given, list) else [given])]


def battle(build: Builder, a: JudgedArm, b: JudgedArm, temperature: float | None, judge: str) -> str:
    """The key of the stage that judges arm a's samples against arm b's, of the same seed."""
    assert temperature is not None
    inputs = {"samples": build.samples(a, temperature), "reference": build.samples(b, temperature)}
    return build.judge("pairwise", {"order": "both"}, inputs, judge)


def against_reference(
    build: Builder, arm: JudgedArm, temperature: float | None, judge: str, reference: str, order: str | None = None
) -> str:
    """The key of the stage that judges an arm's samples against a reference's completions; `order` as `Builder.judge`
    has it. It is the same for every protocol that asks the same."""
    assert temperature is not None
    inputs = {"samples": build.samples(arm, temperature), "reference": build.completions(reference)}
    return build.judge("pairwise", {"order": "both"}, inputs, judge, order)


class Pairwise(Evaluation):
    """`protocol: pairwise`."""

    protocol: Literal["pairwise"]
    judge: str = Field(description="a name under `models` that can compare")
    reference: str | None = Field(None, description="a name under `models` that the arms are judged against")
    between: tuple[str, str] | None = Field(None, description="instead of `reference`: two arms, judged head to head")
    temperature: AtTemperatures = Field(0.7, description=AT_TEMPERATURES)
    gold: Gold | None = Field(None, description="labels that are right, to correct the primary contrast with")

    @property
    def together(self) -> bool:
        return self.between is not None

    def temperatures(self) -> Sequence[float]:
        return temperatures_of(self.temperature)

    def models(self) -> Mapping[str, str]:
        return {"judge": self.judge, **({} if self.reference is None else {"reference": self.reference})}

    @property
    def against(self) -> frozenset[str] | None:
        return None if self.between is None else frozenset(self.between)

    def pairs_of(self, arms: Sequence[str]) -> list[tuple[str, str]]:
        # In the arms' order, whatever the spec's: an arena that compares the two has the same stage.
        return [] if self.between is None else list(combinations((arm for arm in arms if arm in self.between), 2))

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        assert self.reference is not None
        return against_reference(build, arm, temperature, self.judge, self.reference)

    def plan_together(
        self, build: Builder, arms: Mapping[str, JudgedArm], temperature: float | None
    ) -> dict[tuple[str, str], str]:
        pairs = self.pairs_of(list(arms))
        return {(a, b): battle(build, arms[a], arms[b], temperature, self.judge) for a, b in pairs}

    @classmethod
    def comparisons(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Comparison]:
        """The policy's completion as a, the reference's (or other arm's) as b, for each prompt that has both."""
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
