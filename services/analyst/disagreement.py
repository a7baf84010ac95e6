"""Where the cells of a matrix disagree: the primary contrast modelled over base model, critic, judge and fraction.

Cell c's difference D_c[s,i] is a grand mean plus one effect of its level of each factor (sum to zero within a factor,
no interactions). Least squares over the cells' means makes every effect a fixed weighted sum of cells,

    beta = (X'X)^-1 X' d,   so that   beta_k[s,i] = sum_c w_kc D_c[s,i],   w = (X'X)^-1 X',

and its interval is the contract's for that sum, over the prompts that all cells share: whatever cells have in common
(prompts, seeds, an arm that two of them train once) is in it. Factors are fixed, however many levels they have; of five
levels or more the SD between levels beyond their error is said too (moments: var(effects) - mean(SE^2)). A factor whose
levels cannot be told from those of others in these cells is confounded, and named with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from services.analyst.intervals import Floats, Method, crossed
from services.analyst.scores import Aligned

RANDOM_LEVELS = 5
"""From so many levels on, an SD between them says something."""


@dataclass(frozen=True)
class LevelEffect:
    """How much the contrast in cells of one level lies above the mean over all levels, in points."""

    level: str
    estimate: float
    standard_error: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Factor:
    """One axis of the matrix. `spread` is the largest effect less the smallest; `sd` is None below five levels.

    `confounded` names the factors that it cannot be told from; there are no effects then.
    """

    name: str
    levels: tuple[LevelEffect, ...]
    spread: float | None = None
    sd: float | None = None
    confounded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disagreement:
    """The model over all cells, on `prompts` prompts; `left` is the SD of what main effects leave of cells' means."""

    prompts: int
    seeds: int
    mean: float
    interval: tuple[float, float]
    factors: tuple[Factor, ...]
    left: float


def levels_of(cell: str) -> dict[str, str]:
    """A cell's level of every factor, from its name (`policy=llama-7b,critic=gpt-4`)."""
    return dict(part.split("=", 1) for part in cell.split(",") if part)


def disagreement(
    cells: Mapping[str, tuple[Aligned, Floats]], method: Method = crossed, alpha: float = 0.05
) -> Disagreement | None:
    """The model from each cell's prompts and differences [seeds, prompts].

    None where there is nothing to compare: fewer than two cells, than two prompts that all share, or no same seeds.
    """
    ids = reduce(np.intersect1d, [aligned.prompt_ids for aligned, _ in cells.values()]) if cells else np.array([])
    if len(cells) < 2 or len(ids) < 2 or len({aligned.seeds for aligned, _ in cells.values()}) != 1:
        return None
    table = np.stack([d[:, np.searchsorted(aligned.prompt_ids, ids)] for aligned, d in cells.values()])
    levels = [levels_of(cell) for cell in cells]
    names = [name for name in levels[0] if len({cell[name] for cell in levels}) > 1]
    confounded = {name: _confounded(name, names, levels) for name in names}
    told = [name for name in names if not confounded[name]]
    design, places = _design(told, levels)
    weights: Floats = np.linalg.pinv(design).astype(np.float64)
    means = table.mean(axis=(1, 2))
    whole = method(np.einsum("c,csn->sn", weights[0], table))
    low, high = whole.bounds(alpha)
    rest = means - design @ (weights @ means)
    free = len(cells) - design.shape[1]
    return Disagreement(
        prompts=len(ids),
        seeds=table.shape[1],
        mean=float(whole.mean),
        interval=(float(low), float(high)),
        factors=tuple(
            Factor(name, (), confounded=confounded[name])
            if confounded[name]
            else _factor(name, levels, weights[places[name]], table, method, alpha)
            for name in names
        ),
        left=float(np.sqrt(rest @ rest / free)) if free > 0 else 0.0,
    )


def _values(name: str, levels: Sequence[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(cell[name] for cell in levels))


def _coded(name: str, levels: Sequence[Mapping[str, str]]) -> Floats:
    """Sum-to-zero columns of a factor: one for each level but the last, which is -1 in all."""
    values = _values(name, levels)
    columns = np.zeros((len(levels), len(values) - 1))
    for row, cell in enumerate(levels):
        place = values.index(cell[name])
        columns[row] = -1.0 if place == len(values) - 1 else np.eye(len(values) - 1)[place]
    return columns


def _design(names: Sequence[str], levels: Sequence[Mapping[str, str]]) -> tuple[Floats, dict[str, slice]]:
    """The grand mean's column, then each factor's, with where they are."""
    columns, places, width = [np.ones((len(levels), 1))], {}, 1
    for name in names:
        coded = _coded(name, levels)
        columns.append(coded)
        places[name] = slice(width, width + coded.shape[1])
        width += coded.shape[1]
    return np.hstack(columns), places


def _confounded(name: str, names: Sequence[str], levels: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """The factors which, alone or together, leave this one's columns without anything of their own."""
    ones, own = np.ones((len(levels), 1)), _coded(name, levels)

    def hides(others: Sequence[str]) -> bool:
        base = np.hstack([ones, *(_coded(other, levels) for other in others)])
        return bool(np.linalg.matrix_rank(np.hstack([base, own])) < np.linalg.matrix_rank(base) + own.shape[1])

    others = [other for other in names if other != name]
    if not others or not hides(others):
        return ()
    return tuple(other for other in others if hides([other])) or tuple(others)


def _factor(
    name: str, levels: Sequence[Mapping[str, str]], weights: Floats, table: Floats, method: Method, alpha: float
) -> Factor:
    """Effects of all levels: the last one's is minus the sum of the others'."""
    every = np.vstack([weights, -weights.sum(axis=0)])
    errors = method(np.einsum("kc,csn->ksn", every, table))
    low, high = errors.bounds(alpha)
    found = tuple(
        LevelEffect(level, float(mean), float(error), (float(a), float(b)))
        for level, mean, error, a, b in zip(
            _values(name, levels), errors.mean, errors.standard_error, low, high, strict=True
        )
    )
    estimates = np.array([one.estimate for one in found])
    sd = None
    if len(found) >= RANDOM_LEVELS:
        noise = float(np.mean([one.standard_error**2 for one in found]))
        sd = float(np.sqrt(max(estimates.var(ddof=1) - noise, 0.0)))
    return Factor(name, found, float(np.ptp(estimates)), sd)
