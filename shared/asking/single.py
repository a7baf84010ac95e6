"""What asking about one answer at a time has in common: each completion is asked about once, and the higher wins."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from shared.asking.base import Ask, words_of
from shared.llm.chat import Answer
from shared.plan.comparisons import Comparison, Verdicts, by_score
from shared.templates.template import Sort, Template

OF_A_PAIR = ("order", "flip", "verdict")


class SingleAsk(Ask):
    """A critic that sees one answer and gives it a score; equal requests of several pairs are one in the ledger."""

    sort: ClassVar[Sort] = "single"

    @model_validator(mode="before")
    @classmethod
    def _no_order(cls, data: Any) -> Any:
        given = [name for name in OF_A_PAIR if isinstance(data, dict) and name in data]
        if given:
            raise ValueError(
                f"sees one answer at a time, so there is no {given[0]}; remove it, or write kind: pairwise"
            )
        return data

    @abstractmethod
    def values(self) -> dict[str, str]:
        """What the template's places hold besides the prompt and the answer."""

    @abstractmethod
    def score(self, text: str, template: Template) -> float | None:
        """The score in a critic's words; None where there is none."""

    def questions(self, pair: Comparison, reference: str | None) -> list[dict[str, str]]:
        given = {"prompt": pair.prompt, **self.values(), **({} if reference is None else {"reference": reference})}
        return [{**given, "answer": answer} for answer in (pair.a, pair.b)]

    def readable(self, answer: Answer, template: Template) -> bool:
        return self.score(words_of(answer), template) is not None

    def read(self, pair: Comparison, answers: Sequence[Answer], template: Template) -> Verdicts:
        a, b = (self.score(words_of(answer), template) for answer in answers)
        return by_score(a, b, f"of a:\n{answers[0].text}\n\nof b:\n{answers[1].text}")


Scale = tuple[int, int]
TEN: tuple[Literal[1], Literal[10]] = (1, 10)


def within(score: float | None, scale: Scale) -> float | None:
    """A score, if it is on the scale."""
    return score if score is not None and scale[0] <= score <= scale[1] else None
