"""`kind: rubric`: one answer is rated by several criteria of the spec; the score is their weighted mean."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from shared.asking.score import RisingScale
from shared.asking.single import TEN, SingleAsk, within
from shared.errors import BadInput
from shared.spec.base import SpecModel
from shared.templates.defaults import RUBRIC
from shared.templates.reading import parse_rating
from shared.templates.template import Template

LEAST_WEIGHT = 1e-6
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 _-]{0,62}[A-Za-z0-9])?$")]


def _check_text(value: str) -> str:
    if not value.strip():
        raise ValueError("says nothing; write what the critic is to look at")
    return value


class Criterion(SpecModel):
    """One thing that an answer is judged by."""

    name: Label
    text: Annotated[str, AfterValidator(_check_text)] = Field(description="what it means, as the critic is told")
    weight: float = Field(1.0, ge=0, le=1e6)


def _check_criteria(criteria: list[Criterion]) -> list[Criterion]:
    if math.fsum(one.weight for one in criteria) < LEAST_WEIGHT:
        raise ValueError("all weights are zero, so that nothing counts; give at least one criterion a weight above 0")
    names = [_plain(one.name) for one in criteria]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} stands there twice; give each criterion a name of its own")
    return criteria


Criteria = Annotated[list[Criterion], Field(min_length=1), AfterValidator(_check_criteria)]


class RubricAsk(SingleAsk):
    """Weights are relative: the score stays on the scale of a single criterion."""

    kind: Literal["rubric"]
    fills: ClassVar[frozenset[str]] = frozenset({"criteria", "low", "high"})
    criteria: Criteria
    scale: RisingScale = Field(TEN, description="[lowest, highest] of each criterion")

    def own_template(self, reference: str | None = None) -> Template:
        return RUBRIC

    def check_template(self, template: Template, field: str) -> None:
        super().check_template(template, field)
        if "criteria" not in template.places:
            problem = "the template has no place for the criteria ({criteria})"
            raise BadInput(f"{field}.template", problem, "Add one, or write `kind: score`.")

    def values(self) -> dict[str, str]:
        listed = "\n".join(f"- {one.name}: {one.text}" for one in self.criteria)
        return {"criteria": listed, "low": str(self.scale[0]), "high": str(self.scale[1])}

    def score(self, text: str, template: Template) -> float | None:
        given = named_lines(text, [one.name for one in self.criteria])
        ratings = [within(parse_rating(words or "", False, self.scale[1]), self.scale) for words in given]
        return weighted_mean(self.criteria, ratings)


def weighted_mean(criteria: Sequence[Criterion], ratings: Sequence[float | None]) -> float | None:
    """The weighted mean; None if a criterion has no rating. Rounded, so that equal ones are equal whatever the order
    of the sum."""
    given = [rating for rating in ratings if rating is not None]
    if len(given) < len(criteria):
        return None
    total = math.fsum(one.weight for one in criteria)
    return round(math.fsum(one.weight * rating for one, rating in zip(criteria, given, strict=True)) / total, 9)


def named_lines(text: str, names: Sequence[str]) -> list[str | None]:
    """What stands after `name:` on its own line, for each name; None where no line or several differing ones do."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        name, colon, words = line.partition(":")
        if colon:
            key = _plain(name).strip(" -\t")
            found.setdefault(key, set()).add(words.strip(" *`\t").casefold())
    said = (found.get(_plain(name), set()) for name in names)
    return [next(iter(words)) if len(words) == 1 else None for words in said]


def _plain(name: str) -> str:
    """A name without Markdown's emphasis and without case: what two names must not have in common."""
    return re.sub(r"[*_`]", "", name).casefold()
