"""The best of n samples of the start, in place of an RL step (rejection sampling, as in arXiv 2307.09288): SFT on them,
or the best of n in every answer, as the critic or a reward model ranks them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from shared.controls.base import Builder, Started, Steps, Tuned
from shared.errors import FieldError
from shared.protocols.base import BestOf

if TYPE_CHECKING:
    from shared.llm.providers import ModelSpec
    from shared.spec.model import Rl

SECOND_TURNS = "mt_bench"
"""The protocol whose second turns are no completions of a prompt alone, which is what a reward model scores."""


class BestOfN(Tuned):
    """The best of n samples. By a critic there is no best, and no row, where the best and the worst are alike or a tie;
    of equal rewards the first sample is the best."""

    kind: Literal["best_of_n"]
    n: int = Field(4, ge=2, le=64, description="samples of the start for each prompt")
    by: Literal["critic", "reward"] = Field(
        "critic",
        description="who ranks them: the arm's critic, which compares all pairs; or a reward model: the critic itself "
        "where it is one, else one trained on the arm's labelled pairs",
    )
    at: Literal["training", "sampling"] = Field(
        "training", description="SFT on the best ones; or no training: every answer is the best of n (by: reward)"
    )
    contrast: ClassVar[str] = "best-of-n"
    needs: ClassVar[Literal["pairs", "critic", "nothing"]] = "critic"
    equal: ClassVar[str] = "start, prompts and critic"
    differs: ClassVar[str] = "more samples and labels, and SFT on the best sample of each prompt"

    def words(self) -> tuple[str, str]:
        if self.by == "critic":
            return super().words()
        equal = "start, prompts, critic and, where a reward model learns them, labels"
        if self.at == "sampling":
            return equal, f"no training after the start: each answer is the best of {self.n} samples by a reward model"
        return equal, "more samples, and SFT on the best of each prompt by a reward model"

    @property
    def samples_an_answer(self) -> int:
        return self.n if self.at == "sampling" else 1

    @property
    def trains_reward(self) -> bool:
        return self.by == "reward"

    def steps(self, build: Builder, at: Started) -> Steps:
        if self.by == "critic":
            ranked = {"pairs": "on_policy", "samples": self.n, "choose": "best_worst", "opponent": None}
            return build.tuned(at, self, lambda one: {"preferences": build.pairs(one, ranked)})
        rater = build.rater(at, self.n)
        reward = {} if rater.checkpoint is None else {"reward": rater.checkpoint}
        if self.at == "sampling":
            return {**reward, "sft": at.start}
        tuned = build.tuned(at, self, lambda one: {"demonstrations": build.best(one, build.rater(one, self.n))})
        return {**reward, **tuned}

    def sampled(self, build: Builder, at: Started) -> BestOf | None:
        return build.rater(at, self.n) if self.at == "sampling" else None

    def guide_errors(self, field: str, rl: Rl) -> Iterator[FieldError]:
        yield from super().guide_errors(field, rl)
        if self.at == "sampling" and self.by == "critic":
            problem = "is critic, which would be asked about every pair of samples of every evaluated prompt"
            yield FieldError(f"{field}.by", problem, "Write `by: reward`, or remove `at`.")
        of_training = {"args": self.args, "sweep": self.sweep, "checkpoints": self.checkpoints > 1}
        for name in (name for name, given in of_training.items() if given and self.at == "sampling"):
            yield FieldError(f"{field}.{name}", "means nothing at sampling, where nothing is trained", "Remove it.")

    def clashes(self, field: str, rl: Rl, critic: ModelSpec, protocols: Iterable[str]) -> Iterator[FieldError]:
        if self.by == "critic" and critic.records_preferences:
            problem = f"the critic of {self.of}, {rl.critic}, only has recorded pairs and cannot rank new samples"
            fix = "Write `by: reward`, which learns them, or name an arm whose critic can be asked."
            yield FieldError(f"{field}.of", problem, fix)
        if self.by == "reward" and not rl.on_pairs and critic.base_model is None:
            problem = f"{self.of} has neither labelled pairs, which a reward model could learn, nor a reward model"
            yield FieldError(f"{field}.by", problem, "Name an arm that has, or whose critic is a reward_model.")
        if self.at == "sampling" and SECOND_TURNS in protocols:
            problem = f"is sampling, and a reward model does not score the second turns of {SECOND_TURNS}"
            yield FieldError(f"{field}.at", problem, f"Remove it, or the evaluations by {SECOND_TURNS}.")

    def tuning(self) -> Mapping[str, Any] | None:
        return self.args if self.at == "training" else None
