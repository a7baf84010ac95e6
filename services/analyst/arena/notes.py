"""What a reader must know of arms that were judged against each other, or were not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.analyst.arena.bradley_terry import PRIOR
from services.analyst.arena.ratings import SCALE, Ratings
from services.analyst.params import EvaluationParams
from services.analyst.wording import number

FAR_OUT = 5.0
"""From so many points of win rate on, it is said that a pair's wins are not what the ratings say."""


def battle_notes(
    evaluations: Mapping[str, EvaluationParams], arenas: Mapping[str, Ratings]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each note's text, and the line of the spec that it means."""
    for name, evaluation in evaluations.items():
        if evaluation.head_to_head:
            a, b = evaluation.arms or ("", "")
            yield (
                f"{name} judges {a} and {b} against each other: their win rates add up to 100, so a difference of 2 "
                "points is 51 to 49. Against a common reference the same two would differ by about half as much; delta "
                "is read on the scale of the evaluation that decides.",
                ("evaluations", name.rsplit("@", 1)[0], "between"),
            )
    for name, ratings in arenas.items():
        entry = ("evaluations", name.rsplit("@", 1)[0])
        yield from ((text, entry) for text in _of_arena(name, ratings))
    if evaluations and all(one.arms is None for one in evaluations.values()) and _has_judge(evaluations):
        yield (
            "Arms were judged against a reference, not against each other: there is no win-rate matrix, and there are "
            "no ratings. An evaluation with `protocol: arena` gives both.",
            ("evaluations",),
        )


def _has_judge(evaluations: Mapping[str, EvaluationParams]) -> bool:
    return any(one.judge is not None for one in evaluations.values())


def _of_arena(name: str, ratings: Ratings) -> Iterator[str]:
    battles = ratings.battles
    if len(set(ratings.groups.tolist())) > 1:
        parts = [
            " and ".join(arm for arm, group in zip(battles.arms, ratings.groups, strict=True) if group == one)
            for one in dict.fromkeys(ratings.groups.tolist())
        ]
        yield (
            f"{name}: not all arms were compared, not even through others. Ratings stand on one scale within each of "
            f"these alone: {'; '.join(parts)}."
        )
    if held := [arm for arm, one in zip(battles.arms, ratings.held, strict=True) if one]:
        yield (
            f"{name}: {' and '.join(held)} won or lost everything that joins them to the others. Their ratings have no "
            f"limit of their own: a weak prior (an SD of {SCALE * PRIOR:.0f} points) holds them."
        )
    misfit = ratings.misfit
    if misfit.beyond and misfit.points >= FAR_OUT:
        a, b = misfit.pair
        yield (
            f"{name}: {a} against {b} is {number(misfit.points)} points of win rate away from what one rating an arm "
            "says of them. Read that pair in the matrix."
        )
    if not ratings.converged:
        yield f"{name}: the fit of the ratings did not settle in every resample."
