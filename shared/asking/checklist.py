"""`kind: checklist`: one answer is held against statements of the spec, each true of it or not (1 or 0)."""

from __future__ import annotations

from typing import ClassVar, Literal

from shared.asking.rubric import Criteria, named_lines, weighted_mean
from shared.asking.single import SingleAsk
from shared.errors import BadInput
from shared.templates.defaults import CHECKLIST
from shared.templates.template import Template

MARKS = {"yes": 1.0, "no": 0.0}


class ChecklistAsk(SingleAsk):
    """The score, 0 to 1, is the weighted share of the statements that are true."""

    kind: Literal["checklist"]
    fills: ClassVar[frozenset[str]] = frozenset({"criteria"})
    criteria: Criteria

    def own_template(self, reference: str | None = None) -> Template:
        return CHECKLIST

    def check_template(self, template: Template, field: str) -> None:
        super().check_template(template, field)
        if "criteria" not in template.places:
            problem = "the template has no place for the list ({criteria})"
            raise BadInput(f"{field}.template", problem, "Add one, or write `kind: score`.")

    def values(self) -> dict[str, str]:
        return {"criteria": "\n".join(f"- {one.name}: {one.text}" for one in self.criteria)}

    def score(self, text: str, template: Template) -> float | None:
        given = named_lines(text, [one.name for one in self.criteria])
        return weighted_mean(self.criteria, [MARKS.get((words or "").rstrip(".")) for words in given])
