"""How a critic is asked: the `ask:` of a model, its questions and the reading of its answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, StringConstraints

from shared.errors import BadInput
from shared.llm.chat import Answer, ChatRequest, user_request
from shared.llm.outcomes import outcome
from shared.names import NAME, NAME_FIX
from shared.plan.comparisons import Comparison, Verdicts
from shared.spec.base import SpecModel
from shared.templates.template import FENCE, PLACES, Sort, Template

TEMPLATE = "template:"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _check_template_name(value: str) -> str:
    name, _, inside = value.removeprefix(TEMPLATE).partition("/")
    if not value.startswith(TEMPLATE):
        raise ValueError(f"{value[:120]!r} names no template; write template:NAME, after `touchstone template add`")
    if not NAME.fullmatch(name) or (inside and not NAME.fullmatch(inside)):
        raise ValueError(f"{value[:120]!r} is no safe name of a template; {NAME_FIX}")
    return value


TemplateName = Annotated[str, AfterValidator(_check_template_name)]


class Ask(SpecModel):
    """One way to ask a critic. A subclass has `kind: Literal["<its name>"]` and its own settings."""

    kind: str
    template: TemplateName | None = Field(None, description="template:NAME, or template:NAME/ENTRY; None: our own")
    pinned: Sha256 | None = Field(None, description="the template's content hash; filled in when the spec is resolved")

    sort: ClassVar[Sort]
    fills: ClassVar[frozenset[str]] = frozenset()
    """The places that it has something for, besides the prompt, the answers and a reference."""
    per_pair: ClassVar[int] = 2
    """Requests for each pair of completions, at most."""

    @property
    def logprobs(self) -> bool:
        """Whether its answers are read off the first token's log-probabilities."""
        return False

    @property
    def shown(self) -> str:
        """In which order a pair is shown (both, random, fixed, reversed); without one, both completions are."""
        return "both"

    def in_order(self, order: str) -> Self:
        """The same way of asking with pairs shown in this order; itself where it knows none."""
        return self

    def models(self) -> Mapping[str, str]:
        """The names of other models whose completions it needs, by the field that names them."""
        return {}

    def params(self) -> dict[str, Any]:
        """All that changes what is asked and how it is read, without names, for a stage's key."""
        data = self.model_dump(mode="json", exclude_defaults=True, exclude={"template", *self.models()})
        return {"kind": self.kind, **data}

    def own_template(self, reference: str | None = None) -> Template:
        """Our template; there may be another one for questions with a reference answer."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """The hash of the template, for a stage's key."""
        return self.pinned or self.own_template("" if self.models() else None).sha256

    def check_template(self, template: Template, field: str) -> None:
        """Whether a template serves this way of asking.

        Raises:
            BadInput: it shows one answer for two, lacks a place, or has one for what is not given.
        """
        if template.sort != self.sort:
            shown = {"pairwise": "two answers ({answer_a} and {answer_b})", "single": "one answer ({answer})"}
            raise BadInput(
                f"{field}.template",
                f"the template shows {shown[template.sort]}, and `kind: {self.kind}` needs one that shows "
                f"{shown[self.sort]}",
                "Name another template, or another kind.",
            )
        unfilled = sorted(template.places - {*PLACES[template.sort], "reference", FENCE} - self.fills)
        if unfilled:
            problem = f"the template has a place {{{unfilled[0]}}}, which `kind: {self.kind}` has nothing for"
            raise BadInput(f"{field}.template", problem, "Name another template, or another kind.")
        if "reference" in template.places and not self.models():
            raise BadInput(
                f"{field}.reference",
                "is missing, and the template has a place for a reference answer",
                "Name the model whose completions are the references, or another template.",
            )

    def check_reference(self, template: Template, field: str, reference: str | None) -> None:
        """Raises `BadInput` where a reference answer is given that the template has no place for."""
        if reference is not None and "reference" not in template.places:
            problem = "is given, and the template has no place for it ({reference})"
            raise BadInput(f"{field}.reference", problem, "Remove it, or name another template.")

    def request(self, identity: Mapping[str, Any], template: Template, values: Mapping[str, str]) -> ChatRequest:
        """One question, to the model of this identity. Greedy unless the spec says otherwise: a verdict should not be
        a matter of chance."""
        asked = user_request(_with_system(identity, template.system), template.render(values), temperature=0.0)
        return replace(asked, **self.sampling())

    def sampling(self) -> dict[str, Any]:
        """Fields of the request that this way of asking sets, whatever the model's."""
        return {}

    def questions(self, pair: Comparison, reference: str | None) -> list[dict[str, str]]:
        """What is asked about a pair: the values for the template's places."""
        raise NotImplementedError

    def readable(self, answer: Answer, template: Template) -> bool:
        """Whether a verdict can be read in an answer."""
        raise NotImplementedError

    def read(self, pair: Comparison, answers: Sequence[Answer], template: Template) -> Verdicts:
        """The verdicts in the answers to the questions about a pair, in the same order."""
        raise NotImplementedError


def words_of(answer: Answer) -> str:
    """What a verdict may be read in: nothing where the answer was cut short or withheld (`Score: 1` may be a 10)."""
    return answer.text if outcome(answer) == "answered" else ""


def _with_system(identity: Mapping[str, Any], system: str) -> Mapping[str, Any]:
    parts = [part for part in (identity.get("system"), system) if part]
    return {**identity, "system": "\n\n".join(parts)} if parts else identity
