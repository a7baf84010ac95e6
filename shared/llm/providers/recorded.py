"""`recorded`: completions or preference labels that somebody recorded before, in a dataset."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shared.llm.providers.base import ModelSpec, Sha256, Strict, dataset_name
from shared.spec.base import Dataset, DeclaredDataset


class DeclaredPrice(Strict):
    """What recorded rows would have cost, in US dollars: so much a row, or by tokens (4 characters taken for each)."""

    usd_per_row: float | None = Field(None, ge=0, description="of a completion or a label")
    input: float | None = Field(None, ge=0, description="per million tokens of the prompts")
    output: float | None = Field(None, ge=0, description="per million tokens of the completions")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_tokens = (self.input, self.output)
        if (self.usd_per_row is None) == (by_tokens == (None, None)) or (
            None in by_tokens and any(one is not None for one in by_tokens)
        ):
            raise ValueError("is of a row or of tokens; write {usd_per_row: 0.01}, or {input: 30, output: 60}")
        return self


class RecordedModel(ModelSpec):
    """A teacher (`completions`) or a critic (`preferences`) that is a dataset."""

    provider: Literal["recorded"]
    completions: Dataset | None = Field(None, description="dataset:NAME with columns prompt_id, completion")
    preferences: Dataset | None = Field(
        None, description="dataset:NAME with columns prompt_id, completion_a, completion_b, preference (1: a is better)"
    )
    missing: Literal["error", "drop"] = Field("error", description="what to do about prompts without a recorded row")
    gold: bool = Field(
        False, description="preferences: they are right (people gave them), so that critics' errors are counted by them"
    )
    price: DeclaredPrice | None = Field(
        None, description="what its rows would have cost: counted in arms' costs as declared, never as spent"
    )
    pinned: Sha256 | None = Field(None, description="the dataset's content hash; filled in when the spec is resolved")

    @model_validator(mode="after")
    def _one_dataset(self) -> Self:
        if (self.completions is None) == (self.preferences is None):
            raise ValueError("a recorded model is one dataset; give either completions or preferences")
        if self.gold and self.preferences is None:
            raise ValueError("gold says that labels are right, and completions are none; remove it")
        if self.preferences is not None and self.price is not None and self.price.usd_per_row is None:
            raise ValueError("labels have no price by tokens here; write `price: {usd_per_row: 0.01}`")
        return self

    @property
    def can_teach(self) -> bool:
        return self.completions is not None

    @property
    def can_compare(self) -> bool:
        return self.preferences is not None

    @property
    def records_preferences(self) -> bool:
        return self.preferences is not None

    @property
    def is_gold(self) -> bool:
        return self.gold

    @property
    def offline(self) -> bool:
        return True

    @property
    def given_price(self) -> None:
        """Nobody is asked: its price is for accounts alone."""
        return None

    @property
    def dataset(self) -> str | None:
        given = self._given
        return dataset_name(given) if isinstance(given, str) else None

    @property
    def _given(self) -> str | DeclaredDataset:
        given = self.completions or self.preferences
        assert given is not None
        return given

    def identity(self) -> dict[str, Any]:
        given = self._given
        return {
            "provider": "recorded",
            "rows": "completions" if self.completions else "preferences",
            "dataset": self.pinned or (given if isinstance(given, str) else given.model_dump()),
            "missing": self.missing,
        }
