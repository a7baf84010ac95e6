"""`kind: pairwise`: both answers are shown, and the critic says which is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from shared.asking.base import Ask, words_of
from shared.canonical import sha256_hex
from shared.errors import BadInput
from shared.llm.chat import Answer
from shared.plan.comparisons import SWAPPED, Comparison, OneOrder, Verdict, Verdicts, by_preference
from shared.templates.defaults import LABEL, PAIRWISE
from shared.templates.pairwise import render_pairwise
from shared.templates.reading import label_preference, parse_bracketed, parse_verdict
from shared.templates.template import Sort, Template

TOP = 5
"""How many of the likeliest first tokens are asked for; TGI gives no more."""
LABEL_TOKENS = 8
"""Room for a label and its end, and no more."""


class PairwiseAsk(Ask):
    """The default of every critic that is asked over HTTP."""

    kind: Literal["pairwise"]
    verdict: Literal["label", "logprobs"] = Field(
        "label", description="label: what the words say; logprobs: the probabilities of the labels as the first token"
    )
    order: Literal["both", "random", "fixed", "reversed"] = Field(
        "both", description="both orders; one by the pair's hash; always the first one first; always the second one"
    )
    flip: Literal["average", "tie"] = Field(
        "average", description="both orders that do not agree: their mean, or a tie (as MT-Bench has it)"
    )
    reference: str | None = Field(
        None, description="a name under `models` whose completions fill the template's place for a reference answer"
    )
    sort: ClassVar[Sort] = "pairwise"

    @model_validator(mode="after")
    def _flips_need_both(self) -> Self:
        if self.flip == "tie" and self.order != "both":
            raise ValueError(f"with order {self.order} nothing can flip; remove `flip`, or write `order: both`")
        return self

    @model_validator(mode="after")
    def _a_reference_needs_a_place(self) -> Self:
        if self.reference is not None and self.template is None:
            raise ValueError(
                "our own templates for pairs show no reference answer; remove `reference`, or name a template with a "
                "place {reference}"
            )
        return self

    @property
    def logprobs(self) -> bool:
        return self.verdict == "logprobs"

    @property
    def shown(self) -> str:
        return self.order

    def in_order(self, order: str) -> Self:
        return self.model_copy(update={"order": order})

    def models(self) -> Mapping[str, str]:
        return {} if self.reference is None else {"reference": self.reference}

    def own_template(self, reference: str | None = None) -> Template:
        return LABEL if self.logprobs else PAIRWISE

    def fingerprint(self) -> str:
        # The default's is a hash of what it renders: keys from before there were other templates stay as they are.
        if self.pinned is None and not self.logprobs:
            return sha256_hex(render_pairwise("prompt", "a", "b"))
        return super().fingerprint()

    def check_template(self, template: Template, field: str) -> None:
        super().check_template(template, field)
        self.check_reference(template, field, self.reference)
        if self.logprobs and template.brackets:
            raise BadInput(
                f"{field}.verdict",
                "is logprobs, which reads the first token, and the template's verdict [[A]] comes after words",
                "Write `verdict: label`, or name a template that is answered with A or B alone.",
            )

    def sampling(self) -> dict[str, Any]:
        return {"top_logprobs": TOP, "max_tokens": LABEL_TOKENS} if self.logprobs else {}

    def orders(self, pair: Comparison) -> tuple[OneOrder, ...]:
        """The orders in which a pair is shown."""
        if self.order == "both":
            return ("ab", "ba")
        if self.order in {"fixed", "reversed"}:
            return ("ab",) if self.order == "fixed" else ("ba",)
        return ("ab",) if int(sha256_hex(f"{pair.prompt_id}\0{pair.a}\0{pair.b}"), 16) % 2 else ("ba",)

    def questions(self, pair: Comparison, reference: str | None) -> list[dict[str, str]]:
        shown = {"ab": (pair.a, pair.b), "ba": (pair.b, pair.a)}
        given = {"prompt": pair.prompt, **({} if reference is None else {"reference": reference})}
        return [{**given, "answer_a": shown[order][0], "answer_b": shown[order][1]} for order in self.orders(pair)]

    def readable(self, answer: Answer, template: Template) -> bool:
        return self._verdict(answer, template)[0] != "unparsable"

    def read(self, pair: Comparison, answers: Sequence[Answer], template: Template) -> Verdicts:
        orders = self.orders(pair)
        first: dict[OneOrder, tuple[Verdict, float | None]] = {
            order: self._verdict(answer, template) for order, answer in zip(orders, answers, strict=True)
        }
        raw: dict[OneOrder, str] = {order: answer.text for order, answer in zip(orders, answers, strict=True)}
        ab, ba = first.get("ab"), first.get("ba")
        return Verdicts(
            None if ab is None else ab[0],
            None if ba is None else SWAPPED[ba[0]],
            raw.get("ab"),
            raw.get("ba"),
            order_asked=orders[0] if len(orders) == 1 else None,
            settled=self._settled(ab, ba),
        )

    def _verdict(self, answer: Answer, template: Template) -> tuple[Verdict, float | None]:
        """Of the places: which is better, and with what probability the first, where that is known."""
        if self.logprobs:
            preference = label_preference(answer.top_logprobs or {})
            return ("unparsable", None) if preference is None else (by_preference(preference), preference)
        if template.brackets:
            return parse_bracketed(words_of(answer)), None
        return parse_verdict(words_of(answer), bare=self.template is not None or self.pinned is not None), None

    def _settled(
        self, ab: tuple[Verdict, float | None] | None, ba: tuple[Verdict, float | None] | None
    ) -> float | None:
        """The preference for a, where the verdicts' mean is not it."""
        if ab is not None and ba is not None and self.flip == "tie" and ab[0] != SWAPPED[ba[0]]:
            return 0.5
        given = [
            *([ab[1]] if ab is not None and ab[1] is not None else []),
            *([1 - ba[1]] if ba is not None and ba[1] is not None else []),
        ]
        return sum(given) / len(given) if given else None
