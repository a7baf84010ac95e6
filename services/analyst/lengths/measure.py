"""Lengths of completions in characters: by arm, beside a contrast, and what a difference to the reference's goes with.

Length is an effect of training like any other: nothing here corrects a score for it (`length_control` does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from services.analyst.contrasts import Contrast
from services.analyst.intervals import Floats
from services.analyst.scores import ArmScores

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 5
"""Parts of an arm's judgements by length difference, of about as many each."""
FEWEST = 5
"""Prompts that a part needs for its mean to be shown."""
TICKS = 150
"""Completions that are drawn one by one; of more, as many evenly spaced ranks."""


@dataclass(frozen=True)
class SeedLengths:
    """One seed's completions: characters of each and of its reference, NaN where there is none."""

    prompt_ids: NDArray[np.str_]
    completions: Floats
    references: Floats


@dataclass(frozen=True)
class ArmLengths:
    """One arm's completions, `own` [seeds, prompts], and its references [prompts], at its scores' `prompt_ids`."""

    prompt_ids: NDArray[np.str_]
    own: Floats
    references: Floats


@dataclass(frozen=True)
class Distribution:
    """Characters of some completions. `quantiles` are those of QUANTILES; `ticks` are to be drawn one by one."""

    n: int
    mean: float
    quantiles: tuple[float, ...]
    ticks: tuple[float, ...]

    @property
    def median(self) -> float:
        return self.quantiles[2]


@dataclass(frozen=True)
class Bin:
    """A part of an arm's prompts: by how many characters its completions are longer on average, and how they score."""

    difference: float
    score: float
    standard_error: float
    n: int


def seed_lengths(table: pa.Table, head_to_head: bool = False, mirrored: bool = False) -> SeedLengths | None:
    """From rows of JUDGEMENTS; None where they have no completions (a likelihood's).

    Two arms that are judged head to head have no reference; the rows are the opponent's where they are `mirrored`.
    """
    own = _characters(table, "reference" if mirrored else "completion")
    if np.isnan(own).all():
        return None
    ids = np.asarray(table["prompt_id"].to_pylist(), dtype=np.str_)
    if head_to_head:
        return SeedLengths(ids, own, np.full(len(own), np.nan))
    return SeedLengths(ids, own, _characters(table, "reference"))


def _characters(table: pa.Table, column: str) -> Floats:
    if column not in table.column_names:
        return np.full(table.num_rows, np.nan)
    counted = pc.utf8_length(table[column].combine_chunks()).cast(pa.float64())
    return np.asarray(counted.to_numpy(zero_copy_only=False), dtype=np.float64)


def assemble_lengths(scores: ArmScores, tables: Mapping[int, SeedLengths]) -> ArmLengths | None:
    """The seeds of one arm at its scores' prompts; None where a seed has no completions."""
    if not set(scores.seeds) <= set(tables):
        return None
    own = np.full(scores.values.shape, np.nan)
    references = np.full(len(scores.prompt_ids), np.nan)
    for row, seed in enumerate(scores.seeds):
        at = np.searchsorted(scores.prompt_ids, tables[seed].prompt_ids)
        own[row, at] = tables[seed].completions
        references[at] = np.where(np.isnan(references[at]), tables[seed].references, references[at])
    return ArmLengths(scores.prompt_ids, own, references)


def distribution(characters: Floats) -> Distribution | None:
    """Of all that are there; None where none is."""
    known = np.sort(characters[~np.isnan(characters)])
    if not len(known):
        return None
    ranks = np.linspace(0, len(known) - 1, min(len(known), TICKS)).round().astype(np.intp)
    quantiles = tuple(float(end) for end in np.quantile(known, QUANTILES))
    return Distribution(len(known), float(known.mean()), quantiles, tuple(float(one) for one in known[ranks]))


def ratio(contrast: Contrast, scores: Mapping[str, ArmScores], lengths: Mapping[str, ArmLengths]) -> float | None:
    """How many times as long A's completions are as B's, on average over the contrast's prompts and seeds.

    In a difference of differences, the first ratio over the second. None where completions are missing or all empty.
    """
    if any(arm not in lengths for arm in contrast.arms):
        return None
    common = scores[contrast.arms[0]].prompt_ids[scores[contrast.arms[0]].valid]
    for arm in contrast.arms[1:]:
        common = np.intersect1d(common, scores[arm].prompt_ids[scores[arm].valid], assume_unique=True)
    if not len(common):
        return None
    means = np.array([_mean(lengths[arm], common) for arm in contrast.arms])
    if not (means > 0).all():
        return None
    return float(np.exp(contrast.weights @ np.log(means)))


def _mean(lengths: ArmLengths, prompts: NDArray[np.str_]) -> float:
    return float(lengths.own[:, np.searchsorted(lengths.prompt_ids, prompts)].mean())


def against_reference(lengths: ArmLengths) -> float | None:
    """How many times as long an arm's completions are as their references, on average; None where there are none."""
    both = ~np.isnan(lengths.own) & ~np.isnan(lengths.references)
    reference = float(np.broadcast_to(lengths.references, both.shape)[both].sum())
    return float(lengths.own[both].sum()) / reference if reference > 0 else None


def by_difference(scores: ArmScores, lengths: ArmLengths) -> tuple[Bin, ...]:
    """An arm's scores in parts of about as many prompts, by how much longer its completion is than the reference's.

    Differences and scores are means over seeds, so that a prompt counts once; equal differences stay together.
    """
    valid = scores.valid & ~np.isnan(lengths.references) & ~np.isnan(lengths.own).any(axis=0)
    difference = (lengths.own[:, valid] - lengths.references[valid]).mean(axis=0)
    score = scores.values[:, valid].mean(axis=0)
    if len(score) < FEWEST:
        return ()
    edges = np.unique(np.quantile(difference, np.linspace(0, 1, BINS + 1)[1:-1]))
    part = np.searchsorted(edges, difference, side="left")
    members = [part == number for number in range(len(edges) + 1)]
    return tuple(_bin(difference[one], score[one]) for one in members if one.sum() >= FEWEST)


def _bin(difference: Floats, score: Floats) -> Bin:
    return Bin(
        float(difference.mean()), float(score.mean()), float(score.std(ddof=1) / np.sqrt(len(score))), len(score)
    )


def pooled_references(lengths: Sequence[ArmLengths]) -> Distribution | None:
    """The references of all prompts that any arm has, each once."""
    found: dict[str, float] = {}
    for one in lengths:
        found |= {
            str(name): float(size)
            for name, size in zip(one.prompt_ids, one.references, strict=True)
            if not np.isnan(size)
        }
    return distribution(np.array(list(found.values()), dtype=np.float64))
