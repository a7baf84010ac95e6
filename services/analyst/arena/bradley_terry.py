"""A Bradley-Terry model (Bradley and Terry 1952) of win shares, for many resamples at once.

P(a beats b) = 1 / (1 + exp(t_b - t_a)), fitted as a logistic regression of the share of wins on the two arms. A tie is
half a win for either: the score equations are those of the likelihood with fractional outcomes (Papke and Wooldridge
1996), which need the mean of the share alone to be right, and they are what Chatbot Arena solves (Chiang et al. 2024).
Davidson's (1970) and Rao and Kupper's (1967) models have a parameter for ties instead. They are not used, because here
a share of .5 is as often two orders that contradict each other as a tie, and judges that give probabilities have no
ties to count; where every pair meets equally often, Davidson's ranks the arms by the same wins plus half of the ties.

A weak prior, normal with a standard deviation of PRIOR log-odds, keeps a rating finite where an arm never wins or never
loses (Ford 1957 says when there is no maximum of the likelihood). Elsewhere it moves a rating by less than its error
by far: an arm of 300 comparisons by a thousandth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from services.analyst.intervals import Floats

PRIOR = 3.0
LONGEST_STEP = 2.0
MOST_STEPS = 100


@dataclass(frozen=True)
class Fit:
    """Strengths in log-odds, [..., arms], their sum 0 among arms that are compared at all; and whether each settled."""

    strengths: Floats
    converged: NDArray[np.bool_]


def fit(design: Floats, wins: Floats, games: Floats, start: Floats | None = None, tolerance: float = 1e-9) -> Fit:
    """Strengths from each pair's wins (of its first arm) and games, [..., pairs]; leading dimensions are a batch.

    `design` [pairs, arms] is 1 for a pair's first arm and -1 for its second. Newton's method on a concave likelihood.
    """
    arms = design.shape[1]
    shape = wins.shape[:-1]
    strengths = np.zeros((*shape, arms)) if start is None else np.broadcast_to(start, (*shape, arms)).copy()
    converged = np.zeros(shape, dtype=bool)
    for _ in range(MOST_STEPS):
        gradient, hessian = derivatives(design, wins, games, strengths)
        change = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        size = np.abs(change).max(axis=-1, keepdims=True)
        strengths += change * np.minimum(1, LONGEST_STEP / np.maximum(size, 1e-300))
        converged = np.asarray(size[..., 0] < tolerance)
        if converged.all():
            break
    return Fit(strengths, converged)


def derivatives(design: Floats, wins: Floats, games: Floats, strengths: Floats) -> tuple[Floats, Floats]:
    """The gradient [..., arms] of the log-likelihood with its prior, and minus its Hessian [..., arms, arms]."""
    arms = design.shape[1]
    p = expit(strengths @ design.T)
    gradient = (wins - games * p) @ design - strengths / PRIOR**2
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    hessian = ((games * p * (1 - p)) @ products).reshape(*wins.shape[:-1], arms, arms)
    return gradient, np.asarray(hessian + np.eye(arms) / PRIOR**2)


def groups(sides: NDArray[np.intp], games: Floats, arms: int) -> NDArray[np.intp]:
    """The number of each arm's group: arms of different groups were never compared, not even through others."""
    return _components(sides[games > 0], arms, "weak")


def held(sides: NDArray[np.intp], wins: Floats, games: Floats, arms: int) -> NDArray[np.bool_]:
    """Arms whose rating only the prior keeps finite: some arms won everything against the others of their group.

    A maximum of the likelihood exists where every arm is beaten by every other, if only through others (Ford 1957).
    Those of the largest set of arms of which that is true are not held.
    """
    beats = np.concatenate([sides[wins > 0], sides[wins < games][:, ::-1]])
    strong = _components(beats, arms, "strong")
    weak = groups(sides, games, arms)
    found = np.zeros(arms, dtype=bool)
    for group in np.unique(weak):
        members = np.flatnonzero(weak == group)
        numbers, counts = np.unique(strong[members], return_counts=True)
        if len(numbers) > 1:
            found[members] = strong[members] != numbers[counts.argmax()] if counts.max() > 1 else True
    return found


def _components(edges: NDArray[np.intp], arms: int, connection: str) -> NDArray[np.intp]:
    graph = csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(arms, arms))
    return np.asarray(connected_components(graph, directed=True, connection=connection)[1], dtype=np.intp)
