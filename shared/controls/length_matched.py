"""The RL step on pairs of about the same length: a gain that goes with them is not the critic's taste for length."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.controls.base import Builder, Control, Started, Steps


class LengthMatched(Control):
    """Only pairs whose completions' lengths differ by less than a share of the longer one."""

    kind: Literal["length_matched"]
    within: float = Field(
        0.1, gt=0, le=1, description="two lengths in characters count as alike below this share of the longer one"
    )
    contrast: ClassVar[str] = "length-matched"
    equal: ClassVar[str] = "start, samples, labels and method"
    differs: ClassVar[str] = "pairs of unlike length are left out, so there are fewer"

    def steps(self, build: Builder, at: Started) -> Steps:
        return build.optimised(at, {"length_within": self.within})
