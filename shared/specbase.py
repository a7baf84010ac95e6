"""The base of every model that a person's spec is read into, and what several parts of a spec may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from shared.names import NAME, NAME_FIX

LIST, MAPPING, PLAIN, DECLARED = "<list>", "<mapping>", "<plain>", "<declared>"
"""Tags of a union's members (`BY_SHAPE`), written so that no field's name can be taken for one."""


class SpecModel(BaseModel):
    """Strict: an unknown field is an error, infinity is no number, and a parsed spec is never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _shape(value: Any) -> str:
    if isinstance(value, Mapping | BaseModel):
        return MAPPING
    return LIST if isinstance(value, list | tuple) else PLAIN


BY_SHAPE = Discriminator(_shape)
"""Of a union's members only the one with the given value's shape is tried, so that a mistake is one error, not one of
each member's. Members are `Annotated[…, Tag(LIST)]` and so on."""


def _check_dataset(value: str) -> str:
    prefix, _, name = value.partition(":")
    if prefix != "dataset":
        raise ValueError(f"{value[:120]!r} names no dataset; write dataset:NAME, after `touchstone dataset add`")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name[:120]!r} is no safe name of a dataset; {NAME_FIX}")
    return value


DatasetName = Annotated[str, AfterValidator(_check_dataset)]
"""`dataset:NAME`, as a spec names one."""


class DeclaredRows(SpecModel):
    """A dataset's name and its number of rows, as somebody states them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    rows: int = Field(ge=1)


class DeclaredDataset(SpecModel):
    """`declared: {name, rows}` in a dataset's place: it can be planned and priced, and not run (shared/declared.py)."""

    declared: DeclaredRows


def _declared_or_shape(value: Any) -> str:
    declared = isinstance(value, DeclaredDataset) or (isinstance(value, Mapping) and "declared" in value)
    return DECLARED if declared else _shape(value)


BY_DECLARATION = Discriminator(_declared_or_shape)
"""`BY_SHAPE` of a union in which a `DeclaredDataset` is tagged DECLARED."""

Dataset = Annotated[Annotated[DatasetName, Tag(PLAIN)] | Annotated[DeclaredDataset, Tag(DECLARED)], BY_DECLARATION]
"""A dataset that is there, or one that is declared."""
