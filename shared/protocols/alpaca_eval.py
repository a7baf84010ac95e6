"""AlpacaEval's way: one verdict a pair, in a random order, weighted where the judge says how sure it is.

Li et al. 2023 (tatsu-lab/alpaca_eval on GitHub). A preference is 1 where the reference's output is better, 2 where the
arm's is, 1.5 a tie, and in between for a judge asked for log-probabilities; what cannot be read is left out. A row's
score is 100 (preference - 1), so the score of an arm is its win rate in percent.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.protocols.base import Builder, JudgedArm
from shared.protocols.referenced import Referenced

Order = Literal["random", "fixed", "both"]
SHOWN: dict[Order, str] = {"random": "random", "fixed": "reversed", "both": "both"}
"""As `ask.order` has it, with the arm's completion as the first one: alpaca_eval, fixed, shows the reference first."""


class AlpacaEval(Referenced):
    """`protocol: alpaca_eval`. Its judge stage is that of `pairwise` by a judge that is asked in the same order."""

    protocol: Literal["alpaca_eval"]
    order: Order = Field(
        "random", description="one order by the pair's hash; fixed: the reference first; both: their mean"
    )

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        return self.judged(build, arm, temperature, SHOWN[self.order])
