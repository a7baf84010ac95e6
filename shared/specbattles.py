"""Evaluations that compare arms with each other: what can be wrong with them in a spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.errors import FieldError
from shared.protocols import Evaluation
from shared.protocols.arena import Arena
from shared.protocols.pairwise import Pairwise
from shared.spec import Spec
from shared.specnames import unknown

HEAD_TO_HEAD = "`{protocol: pairwise, judge: …, between: [ARM A, ARM B]}`"


def battle_errors(spec: Spec, arms: Sequence[str]) -> Iterator[FieldError]:
    """What evaluations say of the experiment's `arms` (starts included)."""
    for name, evaluation in spec.evaluations.items():
        if isinstance(evaluation, Pairwise):
            yield from _pairwise_errors(f"evaluations.{name}", evaluation, arms)
        elif isinstance(evaluation, Arena):
            yield from _arena_errors(f"evaluations.{name}", evaluation, arms)


def _pairwise_errors(field: str, evaluation: Pairwise, arms: Sequence[str]) -> Iterator[FieldError]:
    if evaluation.reference is None and evaluation.between is None:
        fix = "Add reference, a name under models; or `between: [ARM A, ARM B]`, to judge two arms head to head."
        yield FieldError(f"{field}.reference", "is missing", fix)
    if evaluation.reference is not None and evaluation.between is not None:
        problem = "stands beside reference, and an arm is judged against one thing"
        yield FieldError(f"{field}.between", problem, "Remove one of the two, or write two evaluations.")
    between = evaluation.between or ()
    yield from (unknown(f"{field}.between", arm, arms, "arms") for arm in between if arm not in arms)
    if len(set(between)) < len(between):
        yield FieldError(f"{field}.between", f"judges {between[0]} against itself", "Name two arms.")


def _arena_errors(field: str, evaluation: Arena, arms: Sequence[str]) -> Iterator[FieldError]:
    if missing := [arm for arm in evaluation.arms or () if arm not in arms]:
        yield from (unknown(f"{field}.arms", arm, arms, "arms") for arm in missing)
        return
    pairs, most = len(evaluation.pairs_of(arms)), evaluation.pairs_per_prompt
    if pairs == 0:
        yield FieldError(field, "needs two arms to compare, and there is one", "Add an arm, or remove it.")
    elif most is not None and most > pairs:
        problem = f"is {most}, and {len(evaluation.arms_of(arms))} arms make {pairs} pairs"
        yield FieldError(f"{field}.pairs_per_prompt", problem, f"Write {pairs} or less, or leave it out for all pairs.")


def primary_errors(
    spec: Spec, evaluation: Evaluation, arms: Sequence[str], pair: tuple[str, str]
) -> Iterator[FieldError]:
    """Whether the primary's `evaluation` has a score for both arms of its contrast."""
    name = spec.primary.evaluation
    if evaluation.pooled:
        problem = f"{name} rates arms by all their comparisons together, and the verdict needs a score for each prompt"
        fix = f"Name another evaluation; {HEAD_TO_HEAD} compares the contrast's two arms."
        yield FieldError("primary.evaluation", problem, fix)
    elif evaluation.together and (missing := [arm for arm in pair if arm not in evaluation.arms_of(arms)]):
        problem = f"{name} does not judge {' and '.join(missing)}, which {spec.primary.contrast} compares"
        fix = f"Write `between: [{pair[0]}, {pair[1]}]` there, or name another contrast or evaluation."
        yield FieldError("primary.evaluation", problem, fix)
