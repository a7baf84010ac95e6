"""`verifiable`: an offline critic that checks: the right one of two completions wins, and two right ones are a tie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared.checks import CHECKS
from shared.checks.base import Checked
from shared.checks.settings import check_settings, needs_answers
from shared.llm.providers.base import ModelSpec, Sha256, dataset_name
from shared.spec.base import DatasetName

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.plan.comparisons import Candidate


class VerifiableModel(ModelSpec):
    """A critic or judge made of a registered check (`shared/checks`)."""

    provider: Literal["verifiable"]
    check: str = Field(description=f"one of {', '.join(CHECKS)}")
    answers: DatasetName | None = Field(
        None, description="dataset:NAME with columns prompt_id, completion: the right answers"
    )
    pattern: str | None = Field(
        None, min_length=1, description="regex: what must be found; {answer} stands for the right answer"
    )
    missing: Literal["error", "drop"] = Field("error", description="what to do about prompts without a right answer")
    gold: bool = Field(False, description="its verdicts are right, so that critics' errors are counted by them")
    pinned: Sha256 | None = Field(None, description="the dataset's content hash; filled in when the spec is resolved")
    measure: ClassVar[str] = "check"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        check_settings(self.check, self.pattern)
        if needs_answers(self.check, self.pattern) and self.answers is None:
            raise ValueError("the check needs the right answers; write `answers: dataset:NAME`")
        return self

    @property
    def can_compare(self) -> bool:
        return True

    @property
    def can_reward(self) -> bool:
        return True

    @property
    def is_gold(self) -> bool:
        return self.gold

    @property
    def offline(self) -> bool:
        return True

    @property
    def dataset(self) -> str | None:
        return None if self.answers is None else dataset_name(self.answers)

    @property
    def dataset_field(self) -> str:
        return "answers"

    def identity(self) -> dict[str, Any]:
        rows = {} if self.answers is None else {"dataset": self.pinned or self.answers}
        pattern = {} if self.pattern is None else {"pattern": self.pattern}
        return {"provider": "verifiable", "check": self.check, **rows, **pattern}

    @classmethod
    def scorer(cls, identity: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Callable[[Candidate], float | None]:
        """A prompt without a right answer gets no score, where there are answers."""
        check, pattern = CHECKS[identity["check"]], identity.get("pattern")
        if "dataset" not in tables:
            return lambda one: check.score(Checked(one.prompt, one.completion, None, pattern))
        answers = dict(zip(*(tables["dataset"][name].to_pylist() for name in ("prompt_id", "completion")), strict=True))

        def score(one: Candidate) -> float | None:
            answer = answers.get(one.prompt_id)
            return None if answer is None else check.score(Checked(one.prompt, one.completion, answer, pattern))

        return score
