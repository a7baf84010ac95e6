"""The paper's bandit: why RL from a weak start ends below SFT on a strong teacher, with nothing but arithmetic.

Sharma et al. 2024 (arXiv 2402.12366), figure 6, and the authors' notebook (architsharma97/dpo-rlaif on GitHub). One
prompt has n actions, and the true reward rises with an action's number. Strong teacher and weak student are discretised
Gaussians:

    pi(a) ~ exp(-(a - centre)^2 / width)

RLAIF: pairs are drawn from the student, a faultless critic prefers the higher reward, and a reward r is fitted to them
by the Bradley-Terry likelihood, one number an action (tabular),

    sum over pairs of log sigmoid(r[winner] - r[loser]),

by gradient descent from zero; the policy is then the optimum of KL-regularised RL in closed form (Rafailov et al. 2023,
arXiv 2305.18290, eq. 4), pi(a) ~ student(a) exp(r(a) / beta). SFT: the maximum-likelihood policy of as many samples of
the teacher as there are pairs, by gradient descent on a softmax from the uniform policy, with twice the steps.

With a faultless critic the likelihood has no maximum, so it matters where descent stops: `steps` times `rate`. Where
the student hardly goes, r stays near zero however good the action: r falls beyond the student's reach, and the policy
stays within it. That is the mechanism, a deficit against SFT on the strong teacher, which goes as the student's centre
nears the teacher's. That RL adds *less* to a strong start is no part of it: the fit sees only differences, so a start
further up gains about as much in true reward (`strong_start`), but for one that is at the best action already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """The paper's, by default."""

    actions: int = 100
    strong: float = 80.0
    """the strong teacher's centre, as an action's number"""
    weak: float = 40.0
    width: float = 300.0
    pairs: int = 250_000
    beta: float = 0.1
    steps: int = 7_500
    rate: float = 0.01

    def check(self) -> None:
        """Raises: ValueError: a setting that makes no bandit, by name."""
        if self.actions < 2 or self.pairs < 1 or self.steps < 0:
            raise ValueError("bandit: give at least 2 actions and 1 pair, and no fewer than 0 steps")
        if min(self.width, self.beta, self.rate) <= 0:
            raise ValueError("bandit: width, beta and rate must be above zero")


@dataclass(frozen=True)
class Rlaif:
    """RLAIF: the policy it starts from, the reward learned from that policy's pairs, and the policy it ends with."""

    start: Floats
    reward: Floats
    policy: Floats


@dataclass(frozen=True)
class Bandit:
    """Policies by action, each summing to one, and the true reward, 0 for the worst action to 1 for the best.

    `weak_start` is the paper's RLAIF; `strong_start` the same from the strong teacher; `sft` is SFT on its samples.
    """

    settings: Settings
    true_reward: Floats
    strong: Floats
    weak: Floats
    sft: Floats
    weak_start: Rlaif
    strong_start: Rlaif

    def value(self, policy: Floats) -> float:
        """The expected true reward."""
        return float(policy @ self.true_reward)

    @property
    def gain_weak(self) -> float:
        """What RL adds to the weak start, in expected true reward."""
        return self.value(self.weak_start.policy) - self.value(self.weak_start.start)

    @property
    def gain_strong(self) -> float:
        """What RL adds to the strong start."""
        return self.value(self.strong_start.policy) - self.value(self.strong_start.start)

    @property
    def headline(self) -> float:
        """RLAIF from the weak start minus SFT on the strong teacher."""
        return self.value(self.weak_start.policy) - self.value(self.sft)


def bandit(settings: Settings = Settings(), seed: int = 0) -> Bandit:
    """The whole experiment; the same settings and seed give the same answer.

    Raises:
        ValueError: see `Settings.check`.
    """
    settings.check()
    rng = np.random.default_rng(seed)
    strong, weak = (policy(settings, centre) for centre in (settings.strong, settings.weak))
    demonstrations = rng.multinomial(settings.pairs, strong) / settings.pairs
    return Bandit(
        settings,
        np.linspace(0, 1, settings.actions),
        strong,
        weak,
        imitated(demonstrations, 2 * settings.steps, settings.rate),
        rlaif(weak, settings, rng),
        rlaif(strong, settings, rng),
    )


def policy(settings: Settings, centre: float) -> Floats:
    """A discretised Gaussian."""
    return np.asarray(softmax(-((np.arange(settings.actions) - centre) ** 2) / settings.width))


def rlaif(start: Floats, settings: Settings, rng: np.random.Generator) -> Rlaif:
    """Pairs from `start`, the reward they teach, and the policy that it makes of `start`."""
    reward = learned_reward(preferred(start, settings.pairs, rng), settings.steps, settings.rate)
    return Rlaif(start, reward, np.asarray(softmax(np.log(start) + reward / settings.beta)))


def preferred(start: Floats, pairs: int, rng: np.random.Generator) -> Floats:
    """The share of all pairs, drawn from `start`, in which the row's action beat the column's.

    The action with the higher number wins; a pair of one action with itself teaches nothing and is left out.
    """
    drawn = rng.multinomial(pairs, np.outer(start, start).ravel()).reshape(len(start), len(start))
    return (np.tril(drawn, -1) + np.triu(drawn, 1).T) / pairs


def learned_reward(wins: Floats, steps: int, rate: float) -> Floats:
    """Gradient ascent from zero on the Bradley-Terry log-likelihood per pair; `wins` as `preferred` gives them."""
    reward = np.zeros(len(wins))
    for _ in range(steps):
        missing = wins * expit(reward[None, :] - reward[:, None])
        reward += rate * (missing.sum(axis=1) - missing.sum(axis=0))
    return reward


def imitated(shares: Floats, steps: int, rate: float) -> Floats:
    """A softmax policy, by gradient ascent from the uniform one on the log-likelihood of actions with these shares."""
    logits = np.zeros(len(shares))
    for _ in range(steps):
        logits += rate * (shares - softmax(logits))
    return np.asarray(softmax(logits))
