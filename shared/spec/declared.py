"""Declared stand-ins: data and models that a spec names but that are not there, so that it can be planned and priced.

What stands on one is provisional: its keys are of what was declared, never of content, so they are nobody else's keys.
`plan` shows such a spec; POST refuses it until every declaration is replaced by the real thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from shared.errors import FieldError
from shared.llm.providers.recorded import RecordedModel
from shared.spec.base import DeclaredDataset, SpecModel

if TYPE_CHECKING:
    from shared.plan.model import Plan
    from shared.spec.model import Spec

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class DeclaredModel(SpecModel):
    """A hub's model at a revision that nobody has looked up."""

    model: Text = Field(description="the hub's name")
    revision: Text = Field(description="the commit or tag that is meant")


def declared_fields(spec: Spec) -> Iterator[FieldError]:
    """Every declared stand-in of a spec, with how to make it real."""
    if isinstance(spec.prompts.source, DeclaredDataset):
        yield _dataset("prompts.source", spec.prompts.source, "prompts")
    for name, policy in spec.policies.items():
        if policy.declared is not None:
            yield FieldError(
                f"policies.{name}.declared",
                f"{policy.declared.model} is declared, not there",
                f"Write `model: {policy.declared.model}` where the hub can be reached, or add it "
                f"(touchstone model add {name} FOLDER) and write `model: model:{name}`.",
            )
    for name, entry in spec.models.items():
        if isinstance(entry, RecordedModel):
            for field in ("completions", "preferences"):
                if isinstance(given := getattr(entry, field), DeclaredDataset):
                    yield _dataset(f"models.{name}.{field}", given, field)


def provisional_keys(plan: Plan) -> set[str]:
    """The stages of a plan whose keys stand on something declared."""
    found: set[str] = set()
    for key, stage in plan.stages.items():
        given = (stage.params.get(name) for name in ("source", "model", "critic", "judge"))
        declares = any(isinstance(one, dict) and _declares(one) for one in given)
        if declares or not found.isdisjoint(stage.inputs.values()):
            found.add(key)
    return found


def _declares(value: dict[str, object]) -> bool:
    return "declared" in value or isinstance(value.get("dataset"), dict)


def _dataset(field: str, dataset: DeclaredDataset, kind: str) -> FieldError:
    named = dataset.declared
    return FieldError(
        f"{field}.declared",
        f"{named.rows:,} {kind} of {named.name!r} are declared, not there",
        f"Add them (touchstone dataset add FILE --name {named.name}) and write `{field.rpartition('.')[2]}: "
        f"dataset:{named.name}`.",
    )
