"""The base of every model that a person's spec is read into."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SpecModel(BaseModel):
    """Strict: an unknown field is an error, and a parsed spec is never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
