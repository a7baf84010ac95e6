"""How MT-Bench asks a judge: each answer of a conversation of two turns is rated on its own, 1 to 10.

No way to write `ask:` in a spec: the protocol `mt_bench` asks so, whatever the judge's own `ask:` is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from shared.asking.base import Ask, words_of
from shared.asking.single import TEN, within
from shared.canonical import content_key
from shared.llm.chat import Answer, ChatRequest
from shared.templates.mt_bench import FIRST, FIRST_WITH_REFERENCE, SECOND, SECOND_WITH_REFERENCE
from shared.templates.reading import parse_rating
from shared.templates.template import Sort, Template

TURNS = 2
MT_BENCH: Literal["mt_bench"] = "mt_bench"


@dataclass(frozen=True)
class Conversation:
    """A prompt of two turns with a model's answers; `references` are the right answers, where there are any."""

    prompt_id: str
    questions: tuple[str, str]
    answers: tuple[str, str]
    references: tuple[str, str] | None = None


@dataclass(frozen=True)
class Ratings:
    """What a judge said of a conversation: a rating (None where none can be read) and its words for each turn."""

    scores: tuple[float | None, float | None]
    words: tuple[str, str]


class TurnsAsk(Ask):
    """Two requests a conversation."""

    kind: Literal["mt_bench"] = MT_BENCH
    sort: ClassVar[Sort] = "single"

    def own_template(self, reference: str | None = None) -> Template:
        return FIRST if reference is None else FIRST_WITH_REFERENCE

    def fingerprint(self) -> str:
        return content_key([one.sha256 for one in (FIRST, FIRST_WITH_REFERENCE, SECOND, SECOND_WITH_REFERENCE)])

    def requests(self, identity: Mapping[str, Any], one: Conversation) -> list[ChatRequest]:
        """What the judge of this identity is asked about the first answer, and about the second."""
        first = {"prompt": one.questions[0], "answer": one.answers[0]}
        second = {f"question_{turn + 1}": one.questions[turn] for turn in range(TURNS)}
        second |= {f"answer_{turn + 1}": one.answers[turn] for turn in range(TURNS)}
        if one.references is None:
            return [self.request(identity, FIRST, first), self.request(identity, SECOND, second)]
        # FastChat's `ref_answer_1` is the place that other templates call `reference`.
        reference = {"reference": one.references[0]}
        both = {**reference, "ref_answer_2": one.references[1]}
        return [
            self.request(identity, FIRST_WITH_REFERENCE, {**first, **reference}),
            self.request(identity, SECOND_WITH_REFERENCE, {**second, **both}),
        ]

    def rating(self, answer: Answer) -> float | None:
        """`[[7]]` in a judge's words. Where several differ FastChat takes the first, and nothing is guessed here."""
        return within(parse_rating(words_of(answer), True, TEN[1]), TEN)

    def readable(self, answer: Answer, template: Template) -> bool:
        return self.rating(answer) is not None

    def ratings(self, answers: Sequence[Answer]) -> Ratings:
        """From the answers to `requests`, in their order."""
        first, second = answers
        return Ratings((self.rating(first), self.rating(second)), (first.text, second.text))
