"""The table of scores W[a,e,s,i]: from rows of judgements to arrays on a common prompt set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.analyst.intervals import Floats


@dataclass(frozen=True)
class SeedScores:
    """One seed's judgements as columns: ids, scores (NaN where null) and validity, one entry a prompt."""

    prompt_ids: NDArray[np.str_]
    scores: Floats
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class ArmScores:
    """One arm under one evaluation: `values` [seeds, prompts], NaN where there is no valid judgement.

    `prompt_ids` is sorted, and has every prompt that any seed has a row for.
    """

    arm: str
    evaluation: str
    seeds: tuple[int, ...]
    prompt_ids: NDArray[np.str_]
    values: Floats

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Prompts that are valid in all seeds."""
        return np.asarray(~np.isnan(self.values).any(axis=0))

    @property
    def common(self) -> Floats:
        """Scores [seeds, n] of those prompts."""
        return self.values[:, self.valid]


@dataclass(frozen=True)
class Aligned:
    """Several arms on the prompts that are valid for all of them in all seeds.

    `values` [arms, seeds, n]; `total` prompts were judged for any of the arms, `dropped` of them not validly for each.
    """

    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    prompt_ids: NDArray[np.str_]
    values: Floats
    dropped: dict[str, int]
    total: int

    def dropped_share(self, arm: str) -> float:
        """Percent of the prompts that this arm has no valid judgement for."""
        return 100 * self.dropped[arm] / self.total if self.total else 0.0


def assemble(arm: str, evaluation: str, tables: Mapping[int, SeedScores]) -> ArmScores:
    """Put the seeds of one arm into one array.

    Raises:
        ValueError: no seed, a prompt that occurs twice in one table, or a valid row whose score is no finite number.
    """
    if not tables:
        raise ValueError(f"{arm}, {evaluation}: no seed has judgements")
    seeds = tuple(sorted(tables))
    for seed in seeds:
        _check(f"{arm}, {evaluation}, seed {seed}", tables[seed])
    ids = np.unique(np.concatenate([tables[seed].prompt_ids for seed in seeds]))
    values = np.full((len(seeds), len(ids)), np.nan)
    for row, seed in enumerate(seeds):
        table = tables[seed]
        values[row, np.searchsorted(ids, table.prompt_ids)] = np.where(table.valid, table.scores, np.nan)
    return ArmScores(arm, evaluation, seeds, ids, values)


def _check(where: str, table: SeedScores) -> None:
    ids, counts = np.unique(table.prompt_ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{where}: prompt {str(ids[counts > 1][0])!r} is judged more than once")
    if (broken := table.valid & ~np.isfinite(table.scores)).any():
        raise ValueError(f"{where}: prompt {str(table.prompt_ids[broken][0])!r} is marked valid but has no score")


def align(scores: Sequence[ArmScores]) -> Aligned:
    """Bring arms to the prompts that are valid for each of them in all seeds.

    Raises:
        ValueError: the arms have not the same seeds.
    """
    seeds = scores[0].seeds
    for other in scores[1:]:
        if other.seeds != seeds:
            raise ValueError(f"{scores[0].arm} has seeds {list(seeds)}, {other.arm} has {list(other.seeds)}")
    ids = np.unique(np.concatenate([one.prompt_ids for one in scores]))
    values = np.full((len(scores), len(seeds), len(ids)), np.nan)
    for row, one in enumerate(scores):
        values[row][:, np.searchsorted(ids, one.prompt_ids)] = one.values
    valid = ~np.isnan(values).any(axis=1)
    kept = valid.all(axis=0)
    dropped = {one.arm: int((~valid[row]).sum()) for row, one in enumerate(scores)}
    return Aligned(tuple(one.arm for one in scores), seeds, ids[kept], values[..., kept], dropped, len(ids))
