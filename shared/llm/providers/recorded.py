"""`recorded`: completions or preference labels that somebody recorded before, in a dataset."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shared.llm.providers.base import DatasetName, ModelSpec, Sha256, dataset_name


class RecordedModel(ModelSpec):
    """A teacher (`completions`) or a critic (`preferences`) that is a dataset."""

    provider: Literal["recorded"]
    completions: DatasetName | None = Field(None, description="dataset:NAME with columns prompt_id, completion")
    preferences: DatasetName | None = Field(
        None, description="dataset:NAME with columns prompt_id, completion_a, completion_b, preference (1: a is better)"
    )
    missing: Literal["error", "drop"] = Field("error", description="what to do about prompts without a recorded row")
    pinned: Sha256 | None = Field(None, description="the dataset's content hash; filled in when the spec is resolved")

    @model_validator(mode="after")
    def _one_dataset(self) -> Self:
        if (self.completions is None) == (self.preferences is None):
            raise ValueError("give either completions or preferences: a recorded model is one dataset")
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
    def offline(self) -> bool:
        return True

    @property
    def dataset(self) -> str | None:
        return dataset_name(self.completions or self.preferences or "")

    def identity(self) -> dict[str, Any]:
        return {
            "provider": "recorded",
            "rows": "completions" if self.completions else "preferences",
            "dataset": self.pinned or self.completions or self.preferences,
            "missing": self.missing,
        }
