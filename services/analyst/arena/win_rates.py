"""Who beats whom how often: every arm's mean score against every other, where the two were judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from services.analyst.arena.battles import Pair
from services.analyst.intervals import Method, crossed
from services.analyst.params import EvaluationParams
from services.analyst.scores import ArmScores


@dataclass(frozen=True)
class WinRate:
    """How often the first of two arms is preferred, in percent, a tie half; n is prompts."""

    estimate: float
    standard_error: float
    interval: tuple[float, float]
    n: int

    @property
    def turned(self) -> WinRate:
        """The same as the second arm sees it."""
        low, high = self.interval
        return WinRate(100 - self.estimate, self.standard_error, (100 - high, 100 - low), self.n)


@dataclass(frozen=True)
class WinRates:
    """All pairs that one judge compared at one temperature, under any of `evaluations`; each pair in both directions.

    `arms` begin with the one that wins most often, on average over its opponents.
    """

    judge: str | None
    temperature: float | None
    evaluations: tuple[str, ...]
    arms: tuple[str, ...]
    cells: Mapping[Pair, WinRate]


def win_rates(
    evaluations: Mapping[str, EvaluationParams],
    pairs: Mapping[str, Mapping[Pair, ArmScores]],
    method: Method = crossed,
) -> tuple[WinRates, ...]:
    """One matrix a judge and temperature, from the pairs of each evaluation that are there for all seeds.

    A pair that several evaluations compared counts once, as the one that judged it on most prompts has it.
    """
    found: dict[tuple[str | None, float | None], list[str]] = {}
    for name in evaluations:
        if pairs.get(name):
            found.setdefault((evaluations[name].judge, evaluations[name].temperature), []).append(name)
    made = [_matrix(*key, names, pairs, method) for key, names in found.items()]
    return tuple(one for one in made if one.cells)


def _matrix(
    judge: str | None,
    temperature: float | None,
    names: Sequence[str],
    pairs: Mapping[str, Mapping[Pair, ArmScores]],
    method: Method,
) -> WinRates:
    cells: dict[Pair, WinRate] = {}
    for name in names:
        for (a, b), scores in pairs[name].items():
            one = _win_rate(scores, method)
            if one is not None and ((a, b) not in cells or cells[a, b].n < one.n):
                cells[a, b], cells[b, a] = one, one.turned
    arms = list(dict.fromkeys(arm for pair in cells for arm in pair))
    mean = {arm: fmean(cell.estimate for (row, _), cell in cells.items() if row == arm) for arm in arms}
    return WinRates(judge, temperature, tuple(names), tuple(sorted(arms, key=lambda arm: -mean[arm])), cells)


def _win_rate(scores: ArmScores, method: Method) -> WinRate | None:
    """None with fewer than two prompts that are valid in all seeds."""
    common = scores.common
    if common.shape[1] < 2:
        return None
    error = method(common)
    low, high = error.bounds()
    return WinRate(float(error.mean), float(error.standard_error), (float(low), float(high)), error.prompts)
