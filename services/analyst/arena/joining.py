"""An arena's part in a report: which pairs are there, and ratings as the estimates and contrasts that others have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from services.analyst.arena.battles import Pair, assemble_battles
from services.analyst.arena.ratings import BASE, Ratings, rate
from services.analyst.contrasts import Contrast, ContrastResult
from services.analyst.intervals import Crossed, Floats
from services.analyst.params import ReportParams
from services.analyst.scores import ArmScores, SeedScores, assemble

Pairs = Mapping[str, Mapping[Pair, ArmScores]]
"""By evaluation and pair, where all seeds are there; the first arm's scores."""


def complete_pairs(params: ReportParams, tables: Mapping[str, Mapping[Pair, Mapping[int, SeedScores]]]) -> Pairs:
    """Every pair that has all of its seeds."""
    wanted: dict[str, dict[Pair, set[int]]] = {}
    for row in params.battles:
        wanted.setdefault(row.evaluation, {}).setdefault((row.a, row.b), set()).add(row.seed)
    return {
        name: {
            pair: assemble(f"{pair[0]} against {pair[1]}", name, there)
            for pair, seeds in pairs.items()
            if set(there := tables.get(name, {}).get(pair, {})) == seeds
        }
        for name, pairs in wanted.items()
    }


def missing_pairs(params: ReportParams, pairs: Pairs) -> list[tuple[str, Pair]]:
    """The evaluations and pairs that have not all of their seeds."""
    expected = dict.fromkeys((row.evaluation, (row.a, row.b)) for row in params.battles)
    return [(name, pair) for name, pair in expected if pair not in pairs.get(name, {})]


def rated(params: ReportParams, pairs: Pairs) -> dict[str, Ratings | None]:
    """The ratings of every arena that is complete; None of one with fewer than two prompts."""
    pending = {name for name, _ in missing_pairs(params, pairs)}
    return {
        name: rate(assemble_battles(tuple(evaluation.arms or ()), pairs[name]))
        for name, evaluation in params.evaluations.items()
        if evaluation.pooled and name in pairs and name not in pending
    }


def rating(ratings: Ratings, arm: str) -> tuple[Crossed, int, int]:
    """An arm's rating with its error, on how many prompts it was compared, and on how many a comparison was dropped."""
    place = ratings.battles.arms.index(arm)
    weights = np.eye(len(ratings.battles.arms))[place]
    return ratings.interval(weights), ratings.battles.prompts_of(place), ratings.battles.dropped[place]


def rating_difference(contrast: Contrast, evaluation: str, ratings: Ratings, alpha: float) -> ContrastResult | None:
    """A contrast between ratings, from the same resamples; None where its arms were never compared, nor by others."""
    battles = ratings.battles
    places = [battles.arms.index(arm) for arm in contrast.arms]
    weights: Floats = np.zeros(len(battles.arms))
    np.add.at(weights, places, contrast.weights)
    if not ratings.comparable(weights):
        return None
    error = ratings.interval(weights)
    low, high = error.bounds()
    decided = error.bounds(alpha)
    return ContrastResult(
        contrast=contrast,
        evaluation=evaluation,
        estimate=float(error.mean),
        standard_error=float(error.standard_error),
        interval=(float(low), float(high)),
        decision_interval=(float(decided[0]), float(decided[1])),
        p_value=float(error.p_value()),
        prompts=error.prompts,
        seeds=error.seeds,
        dropped={arm: battles.dropped[place] for arm, place in zip(contrast.arms, places, strict=True)},
        total=battles.total,
        error=error,
    )


def ratings_dict(ratings: Ratings) -> dict[str, object]:
    """What the JSON says of an arena beside the arms' ratings."""
    battles = ratings.battles
    shares = battles.shares[~np.isnan(battles.shares)]
    groups = [
        [arm for arm, group in zip(battles.arms, ratings.groups, strict=True) if group == one]
        for one in dict.fromkeys(ratings.groups.tolist())
    ]
    return {
        "model": "Bradley-Terry, a tie half a win for either",
        "mean": BASE,
        "resamples": len(ratings.resampled),
        "comparisons": int(shares.size),
        "ties": float(100 * (shares == 0.5).mean()),
        "groups": groups,
        "held": [arm for arm, held in zip(battles.arms, ratings.held, strict=True) if held],
        "misfit": {**asdict(ratings.misfit), "pair": list(ratings.misfit.pair)},
        "converged": ratings.converged,
    }
