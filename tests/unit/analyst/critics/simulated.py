"""Labels by critics whose faults are known: pairs for which the truth of every rate can be written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.analyst.critics.labels import Label, Labels


@dataclass(frozen=True)
class Faults:
    """Chances: `first` of naming the completion shown first, whatever it is; `tie` of calling a pair even; `error` of
    taking the worse for the better; `unreadable` of an answer that cannot be read. `slope`: log-odds of a doubling of
    length, instead of what is better. `own`: chance of preferring its own, whatever is better."""

    first: float = 0.0
    tie: float = 0.0
    error: float = 0.0
    unreadable: float = 0.0
    slope: float | None = None
    own: float = 0.0

    @property
    def flip_rate(self) -> float:
        """Both orders say the first shown, or one of them does against what the other one says by content."""
        one = self.first * (1 - self.first)
        return (self.first**2 + one) * (1 - self.tie)

    @property
    def first_place_rate(self) -> float:
        by_content = (1 - self.first) * 0.5 * (1 - self.tie)
        named = self.first + (1 - self.first) * (1 - self.tie)
        return (self.first + by_content) / named


def simulate(
    faults: Faults, seed: int, prompts: int = 150, per_prompt: int = 1, truth_seed: int | None = None
) -> tuple[list[Label], list[Label], set[tuple[str, str]]]:
    """A critic's labels, gold labels of the same pairs, and the completions that are the critic's own (all `a`s)."""
    rng = np.random.default_rng(seed)
    pairs = np.random.default_rng(seed if truth_seed is None else truth_seed)
    found, gold, own = [], [], set()
    for place in range(prompts):
        # Pairs of a prompt have something in common: how much longer a tends to be, and whether it tends to be better.
        tilt, quality = pairs.normal(0, 0.7), pairs.normal(0, 0.8)
        for sample in range(per_prompt):
            doublings = tilt + pairs.normal(0, 0.7)
            b = f"{place}-{sample}b".ljust(64, "x")
            a = f"{place}-{sample}a".ljust(max(8, round(64 * 2**doublings)), "x")
            x = np.log2(len(a) / len(b))
            better = "a" if pairs.normal(quality, 1.0) > 0 else "b"
            said = better if rng.random() >= faults.error else _other(better)
            if faults.slope is not None:
                said = "a" if rng.random() < 1 / (1 + np.exp(-faults.slope * x)) else "b"
            if rng.random() < faults.own:
                said = "a"
            if rng.random() < faults.tie:
                said = "tie"
            ab, ba = ("a" if rng.random() < faults.first else said), ("b" if rng.random() < faults.first else said)
            if rng.random() < faults.unreadable:
                ab = "unparsable"
            found.append(label(f"p{place}", a, b, ab, ba))
            gold.append(Label(f"p{place}", b, a, float(better == "b")))
            own.add((f"p{place}", a))
    return found, gold, own


def label(prompt_id: str, a: str, b: str, ab: str, ba: str) -> Label:
    """A pair asked in both orders."""
    share = {"a": 1.0, "b": 0.0, "tie": 0.5}
    preference = None if "unparsable" in (ab, ba) else (share[ab] + share[ba]) / 2
    return Label(prompt_id, a, b, preference, ab, ba, "both")


def table(labels: list[Label]) -> Labels:
    made = Labels()
    made.add(labels)
    return made


def _other(side: str) -> str:
    return "b" if side == "a" else "a"
