"""Checks of a spec against who is judged beside its arms: names that are taken, contrasts that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from shared.errors import FieldError
from shared.plan.beside import BASE, RESERVED, TEACHER, is_judged_everywhere, judged_beside
from shared.plan.evaluated import At
from shared.spec.model import Spec
from shared.spec.names import unknown

WHAT = {BASE: "the untrained policy", TEACHER: "a teacher"}
FIELD = {BASE: "base", TEACHER: "teachers"}
"""What `also_judge` calls them."""


def taken_names(spec: Spec) -> Iterator[FieldError]:
    """Arms that would be called like those beside them."""
    for name in RESERVED:
        if name in spec.arms:
            fix = f"Give it another name; {WHAT[name]} is judged without an entry of its own."
            yield FieldError(f"arms.{name}", f"is how {WHAT[name]} is called where it is judged", fix)


def contrast_errors(spec: Spec, arms: Set[str], evaluations: Mapping[str, tuple[str, At]]) -> Iterator[FieldError]:
    """Contrasts compare two of `arms`, or of those beside them, that the primary evaluation judges."""
    beside = judged_beside(spec)
    for name, pair in spec.contrasts.items():
        field = f"contrasts.{name}"
        if pair[0] == pair[1]:
            yield FieldError(field, f"compares {pair[0]} with itself", "Name two arms.")
        for arm in pair:
            role = arm.partition(":")[0]
            if arm in arms or arm in beside:
                continue
            if role in RESERVED and not any(one.role == role for one in beside.values()):
                fix = f"Add {FIELD[role]} to also_judge."
                yield FieldError(field, f"names {arm}, which also_judge leaves out", fix)
            else:
                yield unknown(field, arm, arms | set(beside), "arms")
        if not any(
            is_judged_everywhere(beside, pair, one) and (one.against is None or set(pair) <= one.against)
            for one in spec.evaluations.values()
        ):
            fix = "Give an evaluation another reference, or remove the contrast."
            yield FieldError(field, f"has no evaluation that judges both {pair[0]} and {pair[1]}", fix)
    primary = spec.contrasts.get(spec.primary.contrast)
    if primary is not None and spec.primary.evaluation in evaluations:
        evaluation = spec.evaluations[evaluations[spec.primary.evaluation][0]]
        if not is_judged_everywhere(beside, primary, evaluation):
            problem = f"does not judge both {primary[0]} and {primary[1]}"
            yield FieldError("primary.evaluation", problem, "Name another evaluation, or another contrast.")


def unjudged_contrasts(spec: Spec, unjudged: Sequence[str]) -> Iterator[FieldError]:
    """Contrasts with a teacher that cannot be judged: its recorded completions leave out eval prompts."""
    for name, pair in spec.contrasts.items():
        for arm in pair:
            if (model := arm.removeprefix(f"{TEACHER}:")) in unjudged and model != arm:
                problem = f"names {arm}, and {model} has no recorded completions of the eval prompts"
                yield FieldError(f"contrasts.{name}", problem, "Add them to its dataset, or remove the contrast.")
