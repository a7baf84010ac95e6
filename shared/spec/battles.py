"""Evaluations that compare arms with each other: what can be wrong with them in a spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.errors import FieldError
from shared.plan.beside import BASE, RESERVED, TEACHER
from shared.protocols import Evaluation
from shared.protocols.arena import Arena
from shared.protocols.pairwise import Pairwise
from shared.spec.model import Spec
from shared.spec.names import unknown

HEAD_TO_HEAD = "`{protocol: pairwise, judge: …, between: [ARM A, ARM B]}`"
ALSO = {BASE: "base", TEACHER: "teachers"}
"""What `also_judge` calls those who are no recipe."""


def battle_errors(spec: Spec, players: Sequence[str]) -> Iterator[FieldError]:
    """What evaluations say of who can be judged against each other."""
    for name, evaluation in spec.evaluations.items():
        field = f"evaluations.{name}"
        if isinstance(evaluation, Pairwise):
            yield from _pairwise_errors(field, evaluation, players)
        elif isinstance(evaluation, Arena):
            yield from _arena_errors(field, evaluation, players)
        if evaluation.together and evaluation.best_on_dev:
            fix = "Remove it; an evaluation against a reference can have it."
            yield FieldError(f"{field}.best_on_dev", "means nothing where arms are judged against each other", fix)


def _pairwise_errors(field: str, evaluation: Pairwise, players: Sequence[str]) -> Iterator[FieldError]:
    if evaluation.reference is None and evaluation.between is None:
        fix = "Add reference, a name under models; or `between: [ARM A, ARM B]`, to judge two arms head to head."
        yield FieldError(f"{field}.reference", "is missing", fix)
    if evaluation.reference is not None and evaluation.between is not None:
        problem = "stands beside reference, and an arm is judged against one thing"
        yield FieldError(f"{field}.between", problem, "Remove one of the two, or write two evaluations.")
    if evaluation.between is None:
        return
    a, b = evaluation.between
    yield from (_unknown(f"{field}.between", arm, players) for arm in (a, b) if arm not in players)
    if a == b:
        yield FieldError(f"{field}.between", f"judges {a} against itself", "Name two arms.")


def _arena_errors(field: str, evaluation: Arena, players: Sequence[str]) -> Iterator[FieldError]:
    if missing := [arm for arm in evaluation.arms or () if arm not in players]:
        yield from (_unknown(f"{field}.arms", arm, players) for arm in missing)
        return
    pairs, most = len(evaluation.pairs_of(players)), evaluation.pairs_per_prompt
    if pairs == 0:
        yield FieldError(field, "needs two arms to compare, and there is one", "Add an arm, or remove it.")
    elif most is not None and most > pairs:
        problem = f"is {most}, and {len(evaluation.arms or players)} arms make {pairs} pairs"
        yield FieldError(f"{field}.pairs_per_prompt", problem, f"Write {pairs} or less, or leave it out for all pairs.")


def _unknown(field: str, arm: str, players: Sequence[str]) -> FieldError:
    role = arm.partition(":")[0]
    if role in RESERVED and not any(name.partition(":")[0] == role for name in players):
        return FieldError(field, f"names {arm}, which also_judge leaves out", f"Add {ALSO[role]} to also_judge.")
    return unknown(field, arm, players, "arms")


def primary_errors(spec: Spec, evaluation: Evaluation, pair: tuple[str, str]) -> Iterator[FieldError]:
    """Whether the primary's `evaluation` has a score for both arms of its contrast."""
    name = spec.primary.evaluation
    if evaluation.pooled:
        problem = f"{name} rates arms by all their comparisons together, and the verdict needs a score for each prompt"
        fix = f"Name another evaluation; {HEAD_TO_HEAD} compares the contrast's two arms."
        yield FieldError("primary.evaluation", problem, fix)
    elif evaluation.against is not None and (missing := [arm for arm in pair if arm not in evaluation.against]):
        problem = f"{name} does not judge {' and '.join(missing)}, which {spec.primary.contrast} compares"
        fix = f"Write `between: [{pair[0]}, {pair[1]}]` there, or name another contrast or evaluation."
        yield FieldError("primary.evaluation", problem, fix)


def unjudged_players(spec: Spec, unjudged: Sequence[str]) -> Iterator[FieldError]:
    """Teachers that an evaluation names and that cannot be judged: recorded completions of theirs are missing."""
    for name, evaluation in spec.evaluations.items():
        field = "between" if isinstance(evaluation, Pairwise) else "arms"
        for model in unjudged:
            if f"{TEACHER}:{model}" in (evaluation.against or ()):
                problem = f"names {TEACHER}:{model}, and {model} has no recorded completions of the eval prompts"
                fix = "Add them to its dataset, or leave it out."
                yield FieldError(f"evaluations.{name}.{field}", problem, fix)
