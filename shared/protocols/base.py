"""What an evaluation protocol is: a spec model, the stages it needs, and the rows it makes of their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import pyarrow as pa
from pydantic import Field

from shared.asking.base import Ask
from shared.asking.turns import Conversation, Ratings
from shared.errors import FieldError
from shared.plan.comparisons import Comparison, Verdicts
from shared.scales import POINTS
from shared.spec.base import SpecModel

if TYPE_CHECKING:
    from shared.llm.providers import ModelSpec


@dataclass(frozen=True)
class BestOf:
    """What keeps one of `n` samples: a reward model, which is an entry of `models` or a stage's checkpoint."""

    n: int
    model: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True)
class JudgedArm:
    """One arm for one seed, as an evaluation sees it: the keys of the stages that it builds on.

    `checkpoint` is None where the model is not a stage's: an untrained one, which the entry `policy` names. An arm that
    is not sampled (a teacher) has `completions` of the eval prompts instead, and no policy. With `best` each answer is
    the best of several samples.
    """

    policy: str
    seed: int
    checkpoint: str | None = None
    start: str | None = None
    completions: str | None = None
    best: BestOf | None = None


def questions_count(dataset: str) -> str:
    """Where `Resolved.counts` has the prompts of a dataset that an evaluation names."""
    return f"questions/{dataset}"


class Builder(Protocol):
    """What a protocol may ask of the plan: each returns the key of a stage, made once however often it is asked.

    The prompts are those of eval; of dev where temperatures are chosen."""

    @property
    def prompts(self) -> str:
        """The experiment's prompts in their splits."""

    def questions(self, dataset: str) -> str:
        """The prompts of a dataset of the evaluation's own, by its name; all are in the eval split."""

    def samples(self, arm: JudgedArm, temperature: float, prompts: str | None = None) -> str:
        """The arm's completions of the prompts: its samples at this temperature, or those that it consists of.

        `prompts` are others than the experiment's (`questions`), which only a policy can be sampled on."""

    def second_turn(self, arm: JudgedArm, temperature: float, first: str, prompts: str) -> str:
        """The arm's samples on the prompts' second turns, with its own first answers (the stage `first`) before."""

    def rewards(self, model: str, completions: str) -> str:
        """What a reward model gives each of a stage's completions."""

    def completions(self, model: str) -> str:
        """A model's (teacher's, reference's) completions of the prompts."""

    def labelled(self, model: str, per_prompt: int) -> str:
        """Recorded preference pairs on the prompts."""

    def likelihoods(self, arm: JudgedArm, checkpoint: str | None, completions: str, kind: str) -> str:
        """Log-likelihoods of given completions (kind demonstrations) or pairs (kind preferences).

        `checkpoint` is the arm's own or its start's."""

    def judge(
        self,
        protocol: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, str],
        judge: str | None,
        order: str | None = None,
        ask: Ask | None = None,
    ) -> str:
        """The stage that makes the evaluation's rows; `judge` names the model that is asked, if any.

        `order` is the one in which it is shown the pairs, where the protocol says (as `ask.order`); None: the judge's.
        `ask` is how it is asked, where the protocol has a way of its own.
        """


class Evaluation(SpecModel):
    """One entry of `evaluations:`. A subclass is a protocol's spec; the registry is in `shared/protocols`."""

    protocol: str
    best_on_dev: bool = Field(
        False, description="also report each arm at the temperature at which it does best on the dev prompts"
    )
    unit: ClassVar[str] = POINTS
    imitation: ClassVar[bool] = False
    """True: the score is built from likelihood, which measures imitation of whoever wrote the completions."""
    pooled: ClassVar[bool] = False
    """True: an arm's figure comes from all comparisons together and is no mean of scores by prompt: never primary."""

    def temperatures(self) -> Sequence[float | None]:
        """The temperatures that it samples at; (None,) if it does not sample."""
        return (None,)

    def models(self) -> Mapping[str, str]:
        """The names of models it uses, by the spec field that names them."""
        return {}

    @property
    def method(self) -> str:
        """What scores, in a few words for the report; empty where a judge does."""
        return ""

    @property
    def dataset(self) -> str | None:
        """The name of a dataset that it reads itself, to be pinned by `resolve`; None if it reads none."""
        return None

    dataset_field: ClassVar[str] = ""
    """The field that names it."""
    dataset_kind: ClassVar[Literal["prompts", "completions"]] = "completions"

    def model_errors(self, models: Mapping[str, ModelSpec]) -> Iterator[FieldError]:
        """Which of the models that it names, all of them known, cannot serve it; fields are the evaluation's own."""
        return iter(())

    def data_errors(
        self, prompts: Sequence[tuple[str, str]], source: pa.Table | None, own: pa.Table | None
    ) -> Iterator[FieldError]:
        """What data lack that it needs; fields are the evaluation's own.

        `prompts` are the eval split's (id, text); `source` is the dataset that they are from, None of a simulated
        world; `own` the rows of `dataset`.
        """
        return iter(())

    @property
    def together(self) -> bool:
        """Whether it compares arms with each other: planned by `plan_together` then, not by `plan`."""
        return False

    @property
    def against(self) -> frozenset[str] | None:
        """The arms that it names to be compared with each other; None where it names none."""
        return None

    def pairs_of(self, arms: Sequence[str]) -> list[tuple[str, str]]:
        """The pairs of arms that it compares, where it compares them with each other; each in the arms' order."""
        return []

    @property
    def judges_completions(self) -> bool:
        """Whether completions that no policy wrote (a teacher's) can be judged like an arm's samples."""
        return None not in self.temperatures()

    def not_primary(self, at: float | str | None, others: Mapping[str, Evaluation]) -> tuple[str, str] | None:
        """Why the verdict cannot be made from it, and what to write instead; None where it can.

        It can where its score is a mean over prompts, which the verdict's interval is made for. `at` is a temperature,
        or best_on_dev; `others` are all of the spec's evaluations by name.
        """
        return None

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        """The key of the judge stage for one arm, seed and temperature."""
        raise NotImplementedError

    def plan_together(
        self, build: Builder, arms: Mapping[str, JudgedArm], temperature: float | None
    ) -> dict[tuple[str, str], str]:
        """The keys of the judge stages that compare two arms, for one seed and temperature, by the arms' names.

        A stage's input `samples` are the first arm's completions, `reference` the second's.
        """
        raise NotImplementedError

    @classmethod
    def comparisons(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Comparison] | None:
        """What to ask the judge; None if there is nothing to ask."""
        return None

    @classmethod
    def conversations(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Conversation] | None:
        """The conversations that a judge rates turn by turn; None of a protocol that has none."""
        return None

    @classmethod
    def rated_rows(
        cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], ratings: Sequence[Ratings]
    ) -> pa.Table:
        """The rows (JUDGEMENTS and more) from the ratings, in the order of `conversations`."""
        raise NotImplementedError

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        """The rows (JUDGEMENTS) from the stage's inputs and the judge's verdicts, in the order of `comparisons`."""
        raise NotImplementedError
