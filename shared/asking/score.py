"""`kind: score`: one answer is shown and rated on a scale (Zheng et al. 2023, "single answer grading")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from shared.asking.single import TEN, Scale, SingleAsk, within
from shared.templates.defaults import SCORE, SCORE_WITH_REFERENCE
from shared.templates.reading import parse_rating
from shared.templates.template import Template


def _rising(scale: Scale) -> Scale:
    if scale[0] >= scale[1]:
        raise ValueError("does not rise; write [lowest, highest], such as [1, 10]")
    return scale


RisingScale = Annotated[Scale, AfterValidator(_rising)]


class ScoreAsk(SingleAsk):
    """The score is the critic's own number."""

    kind: Literal["score"]
    fills: ClassVar[frozenset[str]] = frozenset({"low", "high"})
    scale: RisingScale = Field(TEN, description="[lowest, highest]; what is outside is no rating")
    reference: str | None = Field(
        None, description="a name under `models` whose completions are shown as reference answers, where it has one"
    )

    def models(self) -> Mapping[str, str]:
        return {} if self.reference is None else {"reference": self.reference}

    def own_template(self, reference: str | None = None) -> Template:
        return SCORE if reference is None else SCORE_WITH_REFERENCE

    def check_template(self, template: Template, field: str) -> None:
        super().check_template(template, field)
        self.check_reference(template, field, self.reference)

    def values(self) -> dict[str, str]:
        return {"low": str(self.scale[0]), "high": str(self.scale[1])}

    def score(self, text: str, template: Template) -> float | None:
        return within(parse_rating(text, template.brackets, self.scale[1]), self.scale)
