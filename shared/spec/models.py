"""Checks of a spec's models among each other: members, two names of one, limits that one answer would break."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.canonical import content_key
from shared.errors import FieldError
from shared.llm.providers import ModelSpec
from shared.llm.providers.base import EndpointSpec
from shared.spec.model import Spec
from shared.spec.names import model_errors, one_of


def part_errors(spec: Spec, name: str, entry: ModelSpec) -> Iterator[FieldError]:
    """The members of an ensemble must be able to compare new completions themselves."""
    fitting = [other for other, one in spec.models.items() if one.can_compare and not one.parts]
    for place, part in enumerate(entry.parts):
        field = f"models.{name}.members.{place}"
        yield from model_errors(spec, field, part, "can_compare")
        member = spec.models.get(part)
        if member is not None and member.parts:
            yield FieldError(field, f"{part} is an ensemble itself", f"Name its members instead. {one_of(fitting)}")
        elif member is not None and member.records_preferences:
            yield FieldError(field, f"{part} only has recorded pairs", "Name a model that can be asked.")
    places = [f"models.{name}.members.{place}" for place in range(len(entry.parts))]
    yield from alike_errors(spec, entry.parts, places, "whose vote counts twice then")


def alike_errors(spec: Spec, names: Sequence[str], fields: Sequence[str], problem: str) -> Iterator[FieldError]:
    """Models under two names that are one: they answer the same and are asked the same."""
    seen: dict[str, str] = {}
    for field, name in zip(fields, names, strict=True):
        if (entry := spec.models.get(name)) is None:
            continue
        ask = None if entry.asks is None else entry.asks.model_dump(mode="json")
        who = content_key([entry.identity(), ask, dict(entry.needs()), entry.parts])
        if (other := seen.setdefault(who, name)) != name:
            fix = f"Remove one of {other} and {name}."
            yield FieldError(field, f"{name} is {other} by another name, {problem}", fix)


def limit_errors(spec: Spec) -> Iterator[FieldError]:
    """A limit that a single answer would break."""
    for name, entry in spec.models.items():
        most = entry.limits.tokens_per_minute if isinstance(entry, EndpointSpec) else None
        if isinstance(entry, EndpointSpec) and most is not None and most < entry.max_tokens:
            problem = f"is {most:g}, and one answer may take max_tokens ({entry.max_tokens:,})"
            yield FieldError(f"models.{name}.limits.tokens_per_minute", problem, "Raise it, or lower max_tokens.")
