"""What recorded data would have cost: the spec's word for it, which arms' costs count and no budget does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from shared.llm.providers.recorded import RecordedModel
from shared.spec.model import Spec

if TYPE_CHECKING:
    from shared.plan.model import Stage


def declared_prices(spec: Spec, keys: Iterable[str], stages: Mapping[str, Stage]) -> dict[str, dict[str, Any]]:
    """Of the stages among `keys` that read recorded data at a declared price: the model's name, and the price."""
    found = {}
    for key in keys:
        name = stages[key].options.get("name")
        entry = spec.models.get(str(name)) if stages[key].kind in {"teach", "label"} else None
        if isinstance(entry, RecordedModel) and entry.price is not None:
            found[key] = {"model": str(name), "price": entry.price.model_dump(exclude_none=True)}
    return found
