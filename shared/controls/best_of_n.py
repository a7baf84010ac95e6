"""SFT on the best of n samples of the start, as the critic ranks them (rejection sampling, as in arXiv 2307.09288)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from shared.controls.base import Builder, Started, Steps, Tuned
from shared.errors import FieldError

if TYPE_CHECKING:
    from shared.spec.model import Rl


class BestOfN(Tuned):
    """The best of n samples; where the best and the worst are alike or a tie, there is no best and no row."""

    kind: Literal["best_of_n"]
    n: int = Field(4, ge=2, le=64, description="samples of the start for each prompt, of which all pairs are compared")
    contrast: ClassVar[str] = "best-of-n"
    needs: ClassVar[Literal["pairs", "critic", "nothing"]] = "critic"
    equal: ClassVar[str] = "start, prompts and critic"
    differs: ClassVar[str] = "more samples and labels, and SFT on the best sample of each prompt"

    def steps(self, build: Builder, at: Started) -> Steps:
        ranked = {"pairs": "on_policy", "samples": self.n, "choose": "best_worst", "opponent": None}
        return build.tuned(at, self, lambda one: {"preferences": build.pairs(one, ranked)})

    def clashes(self, field: str, rl: Rl, records_preferences: bool) -> Iterator[FieldError]:
        if records_preferences:
            problem = f"the critic of {self.of}, {rl.critic}, only has recorded pairs and cannot rank new samples"
            yield FieldError(f"{field}.of", problem, "Remove this control, or name an arm whose critic can be asked.")
