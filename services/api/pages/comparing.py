"""Where two specs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.api.planned import Planned


def differences(a: Planned | None, b: Planned | None) -> list[tuple[str, str, str]]:
    """Fields that two specs do not have alike: the field, and both values; empty where one has none."""
    flat = [{} if one is None else dict(_flat(one.spec.model_dump(mode="json"))) for one in (a, b)]
    fields = sorted(flat[0].keys() | flat[1].keys())
    rows = [(field, flat[0].get(field, ""), flat[1].get(field, "")) for field in fields]
    return [row for row in rows if row[1] != row[2]]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        yield path, ", ".join(str(item) for item in value)
    else:
        yield path, str(value)
