"""Gold labels of the primary evaluation, as a spec names them, and what is wrong where they cannot be so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.errors import FieldError
from shared.plan.evaluated import BEST, all_names, evaluation_names
from shared.protocols.gold import FEWEST, Gold
from shared.spec.model import Spec
from shared.spec.names import model_errors

REST = 2
"""Prompts without gold labels below which there is nothing for the judge to add."""
EVERY_PAIR = 1000
"""Recorded pairs taken for each prompt: all of them."""


def gold_of(spec: Spec) -> tuple[str, float | None, Gold] | None:
    """The primary's entry of `evaluations`, its temperature and its gold labels; None where it names none."""
    found = evaluation_names(spec).get(spec.primary.evaluation)
    if found is None:
        return None
    gold: Gold | None = getattr(spec.evaluations[found[0]], "gold", None)
    return None if gold is None else (*found, gold)


def gold_errors(spec: Spec) -> Iterator[FieldError]:
    """Gold labels must be said to be so, be of the primary's evaluation, and leave prompts without any."""
    primary, temperature = all_names(spec)[spec.primary.evaluation]
    for name, evaluation in spec.evaluations.items():
        gold: Gold | None = getattr(evaluation, "gold", None)
        if gold is None:
            continue
        field = f"evaluations.{name}.gold"
        if name != primary:
            fix = f"Move it to evaluations.{primary}, or remove it."
            yield FieldError(field, "corrects the primary contrast, which is under another evaluation", fix)
        elif evaluation.models().get("reference") is None:
            fix = "Remove it, and let people vote on the two arms; or give a reference in place of `between`."
            yield FieldError(field, "is of answers beside a reference's, and there is none", fix)
        elif temperature == BEST:
            fix = f"Name one as primary.evaluation, such as {next(iter(evaluation_names(spec)))}, or remove gold."
            yield FieldError(field, "is of one temperature, and the primary's is chosen on dev", fix)
        most = spec.prompts.eval - REST
        if gold.n > most:
            fix = f"Write {most} or less, or raise prompts.eval." if most >= FEWEST else "Raise prompts.eval."
            yield FieldError(f"{field}.n", f"is {gold.n}, and there are {spec.prompts.eval} eval prompts", fix)
        yield from _label_errors(spec, name, gold, f"{field}.labels")


def _label_errors(spec: Spec, evaluation: str, gold: Gold, field: str) -> Iterator[FieldError]:
    if errors := list(model_errors(spec, field, gold.labels, "can_compare")):
        yield from errors
        return
    entry: Any = spec.models[gold.labels]
    if gold.labels == spec.evaluations[evaluation].models().get("judge"):
        yield FieldError(field, f"{gold.labels} is the judge, which is to be corrected", "Name other labels.")
    elif not entry.is_gold:
        fix = "Name recorded preferences or a check with `gold: true`; only write that where they are right."
        yield FieldError(field, f"{gold.labels} is not said to be right", fix)
    elif entry.records_preferences and entry.missing != "drop":
        fix = f"Write `missing: drop` under models.{gold.labels}."
        yield FieldError(field, f"{gold.labels} must have a label of every prompt, and gold labels are of some", fix)
