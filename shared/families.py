"""Families of judges: models that are likely to share their mistakes.

A judge of one family tends to prefer what its own family writes, and what it is wrong about its sisters are wrong about
too. So a verdict that rests on one family is weaker than one which another family repeats.
"""

from __future__ import annotations

import re

from shared.plan.evaluated import all_names, second_judges
from shared.spec.matrix import cells
from shared.spec.model import Spec

_OWN = {
    "chatgpt": "gpt",
    "o": "gpt",
    "davinci": "gpt",
    "codestral": "mistral",
    "mixtral": "mistral",
    "ministral": "mistral",
}
"""Leading parts of names that a vendor gives models of one line."""
_LEADING = re.compile(r"[a-z]+")


def families(spec: Spec, model: str) -> frozenset[str]:
    """The families of a judge: of an ensemble its members', of another one its own.

    An endpoint's model is of the family that its name begins with, whoever serves it: `gpt-4o` and `o3` of gpt,
    `meta-llama/Llama-3.1-70B` of llama. A simulated judge is its settings and seed; an offline one what it measures.
    """
    entry = spec.models[model]
    if entry.parts:
        return frozenset().union(*(families(spec, part) for part in entry.parts))
    if entry.offline:
        named = getattr(entry, "check", None) or entry.base_model or ""
        return frozenset({f"{entry.provider} {named}".strip()})
    # A provider of one model may leave its name out.
    name = str(entry.identity().get("model", entry.provider))
    if entry.provider == "simulated":
        settings = [one for one in name.partition("?")[2].split("&") if not one.endswith("=0")]
        return frozenset({" ".join(["simulated", *settings])})
    return frozenset({family_of(name)})


def family_of(name: str) -> str:
    """The family of a model by its name; the whole name where that begins with no letter.

    A fine-tuned model's name (`ft:gpt-4o-mini:…`) begins with its base's.
    """
    last = name.casefold().removeprefix("ft:").split(":")[0].rsplit("/", 1)[-1].removeprefix("text-")
    found = _LEADING.match(last)
    return last if found is None else _OWN.get(found[0], found[0])


def judges_beside(spec: Spec) -> tuple[list[str], list[str]]:
    """The judges of the primary evaluation in all cells of a matrix, and those of evaluations like it.

    Both are empty where the primary evaluation has no judge.
    """
    first: dict[str, None] = {}
    second: dict[str, None] = {}
    for cell in cells(spec).values():
        for place, full in enumerate((cell.primary.evaluation, *second_judges(cell))):
            judge = cell.evaluations[all_names(cell)[full][0]].models().get("judge")
            if judge is not None:
                (second if place else first).setdefault(judge)
    return list(first), list(second)


def another_family(spec: Spec) -> bool | None:
    """Whether a judge of another family than the primary's is asked the same; None where the primary has no judge."""
    first, second = judges_beside(spec)
    if not first:
        return None
    own, *others = first
    return any(families(spec, judge) - families(spec, own) for judge in (*others, *second))


def family_warning(spec: Spec) -> str | None:
    """What is said before and after where no judge of another family is asked."""
    if another_family(spec) is not False:
        return None
    judge = judges_beside(spec)[0][0]
    name = ", ".join(sorted(families(spec, judge)))
    return (
        f"Every judgement of the primary contrast is by one family of judges ({name}): whether another one agrees will "
        f"not be known. Add an evaluation like it with another judge than {judge}."
    )
