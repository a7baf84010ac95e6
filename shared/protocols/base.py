"""What an evaluation protocol is: a spec model, the stages it needs, and the rows it makes of their outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from shared.comparisons import Comparison, Verdicts
from shared.specbase import SpecModel


@dataclass(frozen=True)
class TrainedArm:
    """One arm's model for one seed: the keys of the stages that an evaluation builds on."""

    policy: str
    seed: int
    checkpoint: str
    start: str | None = None


class Builder(Protocol):
    """What a protocol may ask of the plan: each returns the key of a stage, made once however often it is asked."""

    def samples(self, arm: TrainedArm, temperature: float) -> str:
        """The arm's samples on the eval prompts."""

    def completions(self, model: str) -> str:
        """A model's (teacher's, reference's) completions of the eval prompts."""

    def labelled(self, model: str, per_prompt: int) -> str:
        """Recorded preference pairs on the eval prompts."""

    def likelihoods(self, arm: TrainedArm, checkpoint: str, completions: str, kind: str) -> str:
        """Log-likelihoods of given completions (kind demonstrations) or pairs (kind preferences)."""

    def judge(
        self,
        protocol: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        judge: str | None,
        order: str | None = None,
    ) -> str:
        """The stage that makes the evaluation's rows; `judge` names the model that is asked, if any.

        `order` is the one in which it is shown the pairs, where the protocol says (as `ask.order`); None: the judge's.
        """


class Evaluation(SpecModel):
    """One entry of `evaluations:`. A subclass is a protocol's spec; the registry is in `shared/protocols`."""

    protocol: str
    unit: ClassVar[str] = "points"
    imitation: ClassVar[bool] = False
    """True: the score is built from likelihood, which measures imitation of whoever wrote the completions."""

    def temperatures(self) -> Sequence[float | None]:
        """The temperatures that it samples at; (None,) if it does not sample."""
        return (None,)

    def models(self) -> Mapping[str, str]:
        """The names of models it uses, by the spec field that names them."""
        return {}

    def not_primary(self, temperature: float | None, others: Mapping[str, Evaluation]) -> tuple[str, str] | None:
        """Why the verdict cannot be made from it, and what to write instead; None where it can.

        It can where its score is a mean over prompts, which the verdict's interval is made for. `others` are all of the
        spec's evaluations by name.
        """
        return None

    def plan(self, build: Builder, arm: TrainedArm, temperature: float | None) -> str:
        """The key of the judge stage for one arm, seed and temperature."""
        raise NotImplementedError

    @classmethod
    def comparisons(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Comparison] | None:
        """What to ask the judge; None if there is nothing to ask."""
        return None

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        """The rows (JUDGEMENTS) from the stage's inputs and the judge's verdicts, in the order of `comparisons`."""
        raise NotImplementedError
