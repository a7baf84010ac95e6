"""SFT on the completions that the critic chose: what the same labels give without preference optimisation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from shared.controls.base import Builder, Started, Steps, Tuned
from shared.errors import FieldError

if TYPE_CHECKING:
    from shared.llm.providers import ModelSpec
    from shared.spec.model import Rl


class SftOnChosen(Tuned):
    """The arm's start and its labelled pairs, then SFT on the better one of each."""

    kind: Literal["sft_on_chosen"]
    contrast: ClassVar[str] = "chosen"
    equal: ClassVar[str] = "start, prompts, samples, labels and pairs"
    differs: ClassVar[str] = "SFT on the chosen completions, which never sees the rejected ones"

    def steps(self, build: Builder, at: Started) -> Steps:
        return build.tuned(at, self, lambda one: {"preferences": build.pairs(one, {})})

    def clashes(self, field: str, rl: Rl, critic: ModelSpec, protocols: Iterable[str]) -> Iterator[FieldError]:
        if rl.rounds > 1:
            problem = f"{self.of} has {rl.rounds} rounds, and the chosen completions of the first alone are the start's"
            yield FieldError(f"{field}.of", problem, "Name an arm with one round.")
