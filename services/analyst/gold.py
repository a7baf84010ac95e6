"""Gold scores of a random subset of the prompts, and the primary contrast corrected with them.

Three sources give them: recorded labels of the very completions, a check that cannot err, and people's votes. The
subset is the first n prompts in the order of a hash (`shared.human.rank`), fixed before anything was judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.analyst.contrasts import Contrast
from services.analyst.intervals import Floats, Interval, crossed
from services.analyst.ppi import FEWEST, corrected
from services.analyst.scores import Aligned
from shared.human import rank

SAME = 50.0
"""The score of a completion that is the reference's, word for word: whoever looks, it is a tie."""

Differences = Mapping[int, Mapping[str, float]]
"""What gold says of the contrast in points, by seed and prompt."""


@dataclass(frozen=True)
class GoldScores:
    """Gold scores of the primary evaluation, 0 to 100, by arm, seed and prompt; at most `n` prompts are used."""

    name: str
    n: int
    scores: Mapping[str, Differences] = field(default_factory=dict)


@dataclass(frozen=True)
class Correction:
    """A corrected difference, or `why` there is none. `weight` is the judge's; `bias` its mean minus gold's, in points.

    `labelled` prompts have gold, `prompts` are all; `seeds` are those in which the labelled ones have it.
    """

    error: Interval | None = None
    why: str = ""
    prompts: int = 0
    labelled: int = 0
    seeds: tuple[int, ...] = ()
    weight: float = 0.0
    bias: float = 0.0


def shares_of(pairs: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str, str], float]:
    """How much the first of two texts is preferred, in [0, 1], by prompt and texts in both orders.

    `pairs` are rows of PREFERENCES; two equal texts are a tie, whatever the row says.
    """
    found: dict[tuple[str, str, str], float] = {}
    for row in pairs:
        id, a, b, share = (row[name] for name in ("prompt_id", "completion_a", "completion_b", "preference"))
        if a == b:
            share = 0.5
        if share is not None:
            found |= {(id, a, b): share, (id, b, a): 1 - share}
    return found


def by_labels(rows: Iterable[Mapping[str, Any]], shares: Mapping[tuple[str, str, str], float]) -> dict[str, float]:
    """Scores of completions, 0 to 100, whose pair with the reference's completion is labelled; rows of JUDGEMENTS."""
    found = {}
    for row in rows:
        share = shares.get((row["prompt_id"], row["completion"], row["reference"]))
        if share is not None:
            found[row["prompt_id"]] = 100 * share
    return found


def differences(contrast: Contrast, scores: Mapping[str, Differences]) -> dict[int, dict[str, float]]:
    """The contrast in gold scores, where all of its arms have them."""
    tables = [scores.get(arm, {}) for arm in contrast.arms]
    seeds = set.intersection(*(set(one) for one in tables))
    found = {}
    for seed in seeds:
        ids = set.intersection(*(set(one[seed]) for one in tables))
        found[seed] = {
            id: float(sum(weight * one[seed][id] for weight, one in zip(contrast.weights, tables, strict=True)))
            for id in ids
        }
    return found


def correct(judged: Floats, aligned: Aligned, gold: Differences, most: int | None = None) -> Correction:
    """The mean of `judged` [seeds, prompts] corrected with gold differences of at most `most` prompts.

    Where not all seeds have enough gold, it is of those that have.
    """
    ids = [str(one) for one in aligned.prompt_ids]
    seeds, labelled = _labelled(ids, aligned.seeds, gold, most)
    if not seeds:
        there = max((len(set(one) & set(ids)) for one in gold.values()), default=0)
        return Correction(why=f"{there} prompts have gold labels for both arms, and {FEWEST} are the least")
    table = judged[[aligned.seeds.index(seed) for seed in seeds]]
    values = np.array([[gold[seed][ids[place]] for place in np.flatnonzero(labelled)] for seed in seeds])
    m = int(labelled.sum())
    seen = table[:, labelled]
    bias = float((seen - values).mean())
    if len(ids) - m < 2:
        return Correction(crossed(values), "", len(ids), m, seeds, 0.0, bias)
    found = corrected(table, values, labelled)
    return Correction(found, "", len(ids), m, seeds, float(found.weight), bias)


def _labelled(
    ids: Sequence[str], seeds: Sequence[int], gold: Differences, most: int | None
) -> tuple[tuple[int, ...], NDArray[np.bool_]]:
    """The seeds that are used, and which prompts have gold in all of them; no seeds where those are too few."""
    there = {seed: set(ids) & set(gold.get(seed, {})) for seed in seeds}
    enough = tuple(seed for seed in seeds if len(there[seed]) >= FEWEST)
    richest = tuple(sorted(enough, key=lambda seed: -len(there[seed]))[:1])
    for used in (enough, richest):
        if used:
            both = sorted(set.intersection(*(there[seed] for seed in used)), key=rank)[:most]
            if len(both) >= FEWEST:
                chosen = set(both)
                return used, np.array([id in chosen for id in ids], dtype=np.bool_)
    return (), np.zeros(len(ids), dtype=np.bool_)
