"""What a control is: a spec model, the stages it needs after the start, and in words what it holds equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field

from shared.errors import FieldError
from shared.spec.base import SpecModel
from shared.spec.swept import Swept

if TYPE_CHECKING:
    from shared.llm.providers import ModelSpec
    from shared.protocols.base import BestOf
    from shared.spec.model import Rl, Sft

Steps = dict[str, str]
"""The keys of training stages, in their order, by a name that begins with sft, reward or rl."""


@dataclass(frozen=True)
class Started:
    """Where an RL arm and its controls part: the recipe, and the start's key for one seed."""

    policy: str
    sft: Sft
    rl: Rl
    start: str
    seed: int


class Builder(Protocol):
    """What a control may ask of the plan."""

    def optimised(self, at: Started, selection: Mapping[str, Any]) -> Steps:
        """The arm's own RL step, on a selection of its pairs (`shared/selection.py`)."""

    def tuned(self, at: Started, control: Tuned, source: Callable[[Started], Mapping[str, str]]) -> Steps:
        """SFT that goes on from the start by the control's own arguments and sweep, on what `source` gives for a start:
        demonstrations, or the chosen completions of preferences."""

    def pairs(self, at: Started, changes: Mapping[str, Any]) -> str:
        """The key of the labelled pairs of the arm, with some settings of its `rl` changed."""

    def taught(self, at: Started, teacher: str) -> str:
        """The key of a teacher's completions of the RL step's prompts."""

    def rater(self, at: Started, n: int) -> BestOf:
        """What keeps the best of n samples: the arm's critic where it is a reward model, or else one that is trained
        on the arm's labelled pairs."""

    def best(self, at: Started, of: BestOf) -> str:
        """The key of the best of n samples of the start for each of the RL step's prompts."""


class Control(SpecModel):
    """One entry of an arm's `control:`. The arm takes policy, SFT and RL settings from the arm that it is `of`."""

    kind: str
    of: str = Field(description="the RL arm that it is a control of")
    contrast: ClassVar[str]
    """What the difference of that arm and the control is called; the preset calls the control `<contrast>-arm`."""
    equal: ClassVar[str]
    differs: ClassVar[str]
    needs: ClassVar[Literal["pairs", "critic", "nothing"]] = "pairs"
    """What of the arm's RL step it changes or trains on."""

    def steps(self, build: Builder, at: Started) -> Steps:
        """The stages after the start."""
        raise NotImplementedError

    def sampled(self, build: Builder, at: Started) -> BestOf | None:
        """What keeps the best of several samples wherever the arm is judged; None where an answer is one sample."""
        return None

    @property
    def samples_an_answer(self) -> int:
        """How many samples the arm takes for each answer."""
        return 1

    @property
    def trains_reward(self) -> bool:
        """Whether it may train a reward model of its own."""
        return False

    def words(self) -> tuple[str, str]:
        """What it holds equal, and in what it differs."""
        return self.equal, self.differs

    def teachers(self) -> Mapping[str, str]:
        """The names of models that write completions for it, by its field."""
        return {}

    def tuning(self) -> Mapping[str, Any] | None:
        """TRL's arguments of its own SFT step; None where it has none."""
        return None

    def swept(self) -> Swept | None:
        """That step, whose settings may be chosen on dev; None where it has none."""
        return None

    def guide_errors(self, field: str, rl: Rl) -> Iterator[FieldError]:
        """Whether the arm's RL step has what this control is about."""
        if (self.needs == "pairs" and not rl.on_pairs) or (self.needs != "nothing" and rl.critic is None):
            problem = f"{self.of} ({rl.method}) has no labelled pairs, which {self.kind} is about"
            yield FieldError(f"{field}.of", problem, "Name an arm that has, or use kind: swap.")

    def clashes(self, field: str, rl: Rl, critic: ModelSpec, protocols: Iterable[str]) -> Iterator[FieldError]:
        """What does not go with the arm's RL settings, its critic, or the protocols of the spec's evaluations."""
        return iter(())


class Tuned(Control, Swept):
    """A control whose step is SFT."""

    args: dict[str, Any] = Field({}, description="TRL's arguments of this SFT step, over those of the arm's SFT")

    def tuning(self) -> Mapping[str, Any] | None:
        return self.args

    def swept(self) -> Swept | None:
        return self
