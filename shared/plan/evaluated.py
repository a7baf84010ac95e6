"""Evaluations by their full names: one temperature of an entry (`win-rate@0.7`), or the best on dev of its several.

`win-rate@best_on_dev` is no evaluation of its own: it is each arm's scores at the temperature at which the arm did best
on the dev prompts, which the analyst chooses once those are judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.errors import FieldError
from shared.spec.model import Spec

BEST = "best_on_dev"

At = float | str | None
"""A temperature, BEST, or None of an evaluation that does not sample."""


def evaluation_names(spec: Spec) -> dict[str, tuple[str, float | None]]:
    """Every evaluation that is judged by its full name (`win-rate@0.7`), with its entry's name and temperature."""
    return {
        name if temperature is None else f"{name}@{temperature}": (name, temperature)
        for name, evaluation in spec.evaluations.items()
        for temperature in evaluation.temperatures()
    }


def best_names(spec: Spec) -> dict[str, str]:
    """The full name of each choice among temperatures, with its entry's name."""
    return {f"{name}@{BEST}": name for name, evaluation in spec.evaluations.items() if evaluation.best_on_dev}


def all_names(spec: Spec) -> dict[str, tuple[str, At]]:
    """All that a contrast can be estimated under."""
    return {**evaluation_names(spec), **{full: (entry, BEST) for full, entry in best_names(spec).items()}}


def second_judges(spec: Spec) -> list[str]:
    """Evaluations that repeat the primary's with another judge."""
    names = all_names(spec)
    entry, at = names[spec.primary.evaluation]
    primary = spec.evaluations[entry]
    if "judge" not in primary.models():
        return []
    return [
        full
        for full, (other, where) in names.items()
        if where == at
        and spec.evaluations[other].protocol == primary.protocol
        and spec.evaluations[other].models().get("reference") == primary.models().get("reference")
        and spec.evaluations[other].against == primary.against
        and spec.evaluations[other].models().get("judge") != primary.models()["judge"]
    ]


def best_errors(spec: Spec) -> Iterator[FieldError]:
    """A choice among temperatures needs two of them, and prompts to choose on."""
    for name, evaluation in spec.evaluations.items():
        field = f"evaluations.{name}.best_on_dev"
        if not evaluation.best_on_dev:
            continue
        if len(evaluation.temperatures()) < 2:
            fix = "Give two temperatures or more, such as `temperature: [1.0, 0.0]`, or remove it."
            yield FieldError(field, "has no temperatures to choose from", fix)
        if spec.prompts.dev == 0:
            yield FieldError(field, "needs dev prompts to choose on, and there are none", "Raise prompts.dev.")
