"""Our own templates, as the text files beside this one have them. They treat both places alike."""

from __future__ import annotations

from importlib.resources import files

from shared.templates.template import Sort, Template


def _own(name: str, sort: Sort) -> Template:
    return Template(sort, files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8").rstrip("\n"))


PAIRWISE = _own("pairwise", "pairwise")
LABEL = _own("label", "pairwise")
"""Its answer is the label alone, for its log-probabilities."""
SCORE = _own("score", "single")
SCORE_WITH_REFERENCE = _own("score_with_reference", "single")
RUBRIC = _own("rubric", "single")
CHECKLIST = _own("checklist", "single")
