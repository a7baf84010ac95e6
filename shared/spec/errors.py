"""A spec's mistakes in a person's words: what pydantic found, as field, problem and fix."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shared.asking import ASKS
from shared.controls import CONTROLS
from shared.errors import FieldError
from shared.llm.providers import PROVIDERS
from shared.protocols import PROTOCOLS
from shared.spec.base import LIST, MAPPING, PLAIN, TRUTH
from shared.spec.model import NAME_PATTERN, Preset, Spec

PRESET_FIELDS = ("preset", *Preset.model_fields)
REGISTRIES: dict[str, dict[str, Any]] = {
    "provider": PROVIDERS,
    "protocol": PROTOCOLS,
    "kind": ASKS,
    "control": CONTROLS,
}
"""By the field that tells their members apart; a control's is `kind` too."""
SHAPES = {LIST: "a list", MAPPING: "a mapping", PLAIN: "a single value"}
KINDS = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}

PINNED = "pinned"
"""What resolution fills in: nobody writes it."""

NO_MODE = ("is for providers with a Batch API", "Leave it out: `mode: batch` is for `provider: openai` alone.")
NO_MAPPING = ("is no mapping", "Write names and values below it, such as `name: value`.")
NO_LIST = ("is no list", "Write a list: [first, second].")
# Problem (None: pydantic's own words) and fix, by pydantic's name of the error; a fix may use the error's context.
WORDS: dict[str, tuple[str | None, str]] = {
    "model_type": NO_MAPPING,
    "model_attributes_type": NO_MAPPING,
    "dict_type": NO_MAPPING,
    "list_type": NO_LIST,
    "tuple_type": NO_LIST,
    "string_type": ("is no text", 'Write a text, in quotes if it looks like something else: "no", "1".'),
    "int_type": (None, "Write a whole number."),
    "int_parsing": (None, "Write a whole number."),
    "int_from_float": (None, "Write a whole number."),
    "float_type": (None, "Write a number."),
    "float_parsing": (None, "Write a number."),
    "bool_parsing": ("is neither true nor false", "Write true or false."),
    "bool_type": ("is neither true nor false", "Write true or false."),
    "finite_number": (None, "Write a finite number."),
    "greater_than": (None, "Give more than {gt}."),
    "greater_than_equal": (None, "Give {ge} or more."),
    "less_than": (None, "Give less than {lt}."),
    "less_than_equal": (None, "Give {le} or less."),
    "multiple_of": (None, "Give a multiple of {multiple_of}."),
    "literal_error": (None, "Use one of: {expected}."),
    "too_short": (None, "Give at least {min_length}."),
    "too_long": (None, "Give at most {max_length}."),
    "string_too_short": (None, "The least length is {min_length}."),
}
NAME_FIX = "Use 1 to 64 letters, digits, spaces, dots, dashes and underscores, with a letter or digit at both ends."


def kind_of(value: Any) -> str:
    """What a value of a spec is, in a person's words."""
    return KINDS.get(type(value), "a number")


def field_errors(error: ValidationError, root: type[BaseModel] = Spec) -> list[FieldError]:
    """Every mistake that pydantic found in a `root`."""
    return [_field_error(dict(item), root) for item in error.errors(include_url=False, include_input=False)]


def _field_error(item: dict[str, Any], root: type[BaseModel]) -> FieldError:
    kind, loc, context = item["type"], [str(step) for step in item["loc"]], item.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_field(loc, root)
    if kind == TRUTH:
        loc.append(context["field"])
    field = ".".join(_path(loc, root)[0]).removesuffix(".[key]")
    if kind == "missing":
        if isinstance(item["loc"][-1], int):
            return FieldError(field.rpartition(".")[0], "has too few entries", f"Give {item['loc'][-1] + 1}.")
        return FieldError(field, "is missing", f"Add {loc[-1]}.")
    if kind.startswith("union_tag"):
        return _no_member(field, kind, context)
    problem = item["msg"].removeprefix("Value error, ")
    # A validator's own words are "problem; fix".
    problem, _, fix = problem.partition("; ") if kind in {"value_error", TRUTH} else (problem, "", "")
    if kind == "string_pattern_mismatch":
        fix = NAME_FIX if context["pattern"] == NAME_PATTERN else "Write it in this form."
    if kind in WORDS:
        words, template = WORDS[kind]
        problem, fix = words or problem, template.format(**context)
    return FieldError(
        field, problem[:1].lower() + problem[1:], f"{fix[:1].upper()}{fix[1:].rstrip('.')}." if fix else ""
    )


def _unknown_field(loc: Sequence[str], root: type[BaseModel]) -> FieldError:
    path, places = _path(loc[:-1], root)
    known = {name for place in places if _is_model(place) for name in place.model_fields} - {PINNED}
    if not path and root is Spec:
        known |= set(PRESET_FIELDS)
    near = difflib.get_close_matches(loc[-1], sorted(known), n=1)
    if loc[-1] == "mode" and path[:1] == ["models"] and len(path) == 2:
        return FieldError(".".join([*path, loc[-1]]), *NO_MODE)
    if loc[-1] in known:
        fix = "It counts beside `preset: teacher_or_critic` alone." if not path else "Remove it, or what excludes it."
    else:
        fix = f"Did you mean {near[0]}?" if near else f"Remove it; what may stand here is {', '.join(sorted(known))}."
    return FieldError(".".join([*path, loc[-1]]), "is not a field of the spec", fix)


def _no_member(field: str, kind: str, context: dict[str, Any]) -> FieldError:
    """The field that tells a union's members apart is missing or unknown, or the value has a shape of none of them."""
    tag = str(context.get("discriminator", "")).strip("'")
    if tag in REGISTRIES:
        problem = "is missing" if kind == "union_tag_not_found" else "is unknown"
        known = REGISTRIES["control" if field.endswith(".control") else tag]
        return FieldError(f"{field}.{tag}", problem, f"Use one of: {', '.join(known)}.")
    shapes = [words for shape, words in SHAPES.items() if shape in str(context.get("expected_tags", ""))]
    return FieldError(field, "has the wrong shape", f"Write {' or '.join(shapes)}.")


def _path(loc: Sequence[str], root: type[BaseModel]) -> tuple[list[str], list[Any]]:
    """A location as the person wrote it, without the names that pydantic gives a union's members; and what is there."""
    path: list[str] = []
    places = _members(root)
    for step in loc:
        if step.startswith("<"):
            continue
        inner = [member for place in places for member in _inside(place, step)]
        tagged = [member for known in REGISTRIES.values() if (member := known.get(step)) in places]
        if tagged and len(places) > 1:
            # A member of the union, even where a field of it has the same name.
            places = tagged
            continue
        path.append(step)
        places = inner or places
    return path, places


def _members(annotation: Any) -> list[Any]:
    """The types that an annotation allows."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _inside(place: Any, step: str) -> list[Any]:
    """The types that stand under `step` of a type."""
    if _is_model(place):
        return _members(place.model_fields[step].annotation) if step in place.model_fields else []
    if get_origin(place) in {dict, list, tuple}:
        return _members(get_args(place)[-1])
    return []


def _is_model(place: Any) -> bool:
    return isinstance(place, type) and issubclass(place, BaseModel)
