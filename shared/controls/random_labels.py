"""The RL step on labels that a coin drew: a gain here is not the critic's."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.controls.base import Builder, Control, Started, Steps


class RandomLabels(Control):
    """Each pair keeps its two completions, and a coin that the arm's seed fixes says which one is chosen."""

    kind: Literal["random_labels"]
    contrast: ClassVar[str] = "random-labels"
    equal: ClassVar[str] = "start, prompts, samples, pairs and method"
    differs: ClassVar[str] = "a coin says which completion of a pair is chosen"

    def steps(self, build: Builder, at: Started) -> Steps:
        return build.optimised(at, {"labels": "random"})
