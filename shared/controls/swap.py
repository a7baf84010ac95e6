"""SFT on a strong teacher's completions of the RL step's prompts: design.md's `swap-arm`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from shared.controls.base import Builder, Started, Steps, Tuned


class Swap(Tuned):
    """The arm's start, then demonstrations in place of labels: where teacher and critic are one model, only the signal
    differs."""

    kind: Literal["swap"]
    teacher: str = Field(description="a name under `models`: the strong model that writes the completions")
    contrast: ClassVar[str] = "swap"
    needs: ClassVar[Literal["pairs", "critic", "nothing"]] = "nothing"
    equal: ClassVar[str] = "start, prompts and, where it is critic there and teacher here, the strong model"
    differs: ClassVar[str] = "SFT on the strong teacher's completions in place of its labels"

    def steps(self, build: Builder, at: Started) -> Steps:
        return build.tuned(at, self, lambda one: {"demonstrations": build.taught(one, self.teacher)})

    def teachers(self) -> Mapping[str, str]:
        return {"teacher": self.teacher}
