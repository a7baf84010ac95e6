"""The base of every model that a person's spec is read into, and what several parts of a spec may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from shared.names import NAME, NAME_FIX

LIST, MAPPING, PLAIN, DECLARED = "<list>", "<mapping>", "<plain>", "<declared>"
"""Tags of a union's members (`BY_SHAPE`), written so that no field's name can be taken for one."""


TRUTH = "truth_for_number"
"""Pydantic's name of the error that a field holds true where a number belongs; the field is in its context."""


class Strict(BaseModel):
    """An unknown field is an error, infinity and `yes` are no numbers, and a parsed spec is never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, data: Any) -> Any:
        # Pydantic takes true for 1, and YAML takes `on` and `yes` for true.
        for name in data if isinstance(data, dict) else ():
            value = data[name]
            given = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
            field = cls.model_fields.get(name) if isinstance(name, str) else None
            if field is not None and any(isinstance(one, bool) for one in given) and _is_number(field):
                words = "is true or false, and a number belongs there; write the number"
                raise PydanticCustomError(TRUTH, words, {"field": name})
        return data


class SpecModel(Strict):
    """A part of a spec whose errors may repeat what was given."""


def _is_number(field: FieldInfo) -> bool:
    """Whether a field takes numbers, and no truth values."""
    kinds = _kinds(field.annotation)
    return bool(kinds & {int, float}) and not kinds & {bool, Any}


def _kinds(annotation: Any) -> set[Any]:
    inside = get_args(annotation)
    return set().union(*map(_kinds, inside)) if inside else {annotation}


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
    """`declared: {name, rows}` in a dataset's place: planned and priced, and not run (declared.py)."""

    declared: DeclaredRows


def _declared_or_shape(value: Any) -> str:
    declared = isinstance(value, DeclaredDataset) or (isinstance(value, Mapping) and "declared" in value)
    return DECLARED if declared else _shape(value)


BY_DECLARATION = Discriminator(_declared_or_shape)
"""`BY_SHAPE` of a union in which a `DeclaredDataset` is tagged DECLARED."""

Dataset = Annotated[Annotated[DatasetName, Tag(PLAIN)] | Annotated[DeclaredDataset, Tag(DECLARED)], BY_DECLARATION]
"""A dataset that is there, or one that is declared."""
