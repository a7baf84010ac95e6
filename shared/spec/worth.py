"""Whether `worth` speaks in the unit of the primary evaluation's scores."""

from __future__ import annotations

from collections.abc import Iterator

from shared.errors import FieldError
from shared.protocols import Evaluation
from shared.scales import POINTS, scale_of
from shared.spec.model import Spec, WorthPoints, WorthScore


def worth_errors(spec: Spec, primary: Evaluation) -> Iterator[FieldError]:
    """Points are percent: of other scores nobody could tell what two of them are, or what one is worth.

    What is made from likelihoods is let be: it is never valid as a primary, whatever delta.
    """
    name, many = spec.primary.evaluation, scale_of(primary.unit).many
    if primary.unit == POINTS:
        if isinstance(spec.worth, WorthScore):
            fix = f"Write `worth: {{points: {spec.worth.score:g}}}`."
            yield FieldError("worth.score", f"is for scores that are not percent, and those of {name} are", fix)
        return
    if primary.imitation or isinstance(spec.worth, WorthScore):
        return
    field = "worth.points" if isinstance(spec.worth, WorthPoints) else "worth.usd_per_point"
    yield FieldError(
        field,
        f"is of percent, and the scores of {name} are {many}",
        f"Write `worth: {{score: …}}`: the difference, in {many}, from which the RL step is worth its cost.",
    )
