"""Reading a person's template file: a text with places, or MT-Bench's `judge_prompts.jsonl`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from shared.errors import BadInput
from shared.names import check_name
from shared.templates.template import FENCE, PLACES, Sort, Template

KNOWN = frozenset({"prompt", "answer_a", "answer_b", "answer", "reference", "criteria", "low", "high", FENCE})
SORTS: tuple[Sort, ...] = ("pairwise", "single")
FORMATS: dict[str, str] = {"pairwise": "[[A]]", "single": "[[rating]]"}
FIX = "Write {prompt} with {answer_a} and {answer_b} for a comparison, or {prompt} with {answer} for a score."

_BRACKETS: dict[Sort, re.Pattern[str]] = {
    "pairwise": re.compile(r"\[\[\s*[ABC]\s*\]\]"),
    "single": re.compile(r"\[\[\s*(?:rating|score|number|\d+(?:\.\d+)?)\s*\]\]", re.IGNORECASE),
}


@dataclass(frozen=True)
class ReadTemplates:
    """The templates of a file by their names in it (a text's is empty), and those that cannot be used, with why."""

    templates: dict[str, Template]
    skipped: dict[str, str] = field(default_factory=dict)


def read_templates(filename: str, data: bytes) -> ReadTemplates:
    """The templates in a file; one whose name ends in .jsonl has several.

    Raises:
        BadInput: it is no text, or no template in it has the places that one needs.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("file", "is not UTF-8", "Save it as UTF-8.") from None
    if filename.lower().endswith((".jsonl", ".ndjson")):
        return _mt_bench(text)
    sort = _sort_of(text)
    template = Template(sort, text.strip(), brackets=_asks_for(sort, text))
    _check_places(template, "file")
    if other := next((one for one in SORTS if one != sort and _asks_for(one, text) and not template.brackets), None):
        problem = f"asks for {FORMATS[other]}, and a {sort} template is answered with {FORMATS[sort]}"
        raise BadInput("file", problem, f"Ask for {FORMATS[sort]}.")
    return ReadTemplates({"": template})


def _mt_bench(text: str) -> ReadTemplates:
    found: dict[str, Template] = {}
    skipped: dict[str, str] = {}
    for number, row in _rows(text):
        name = check_name(str(row["name"]), f"file.line {number}.name")
        if name in found or name in skipped:
            raise BadInput(f"file.line {number}.name", f"{name!r} stands there twice", "Give each a name of its own.")
        if row["type"] not in SORTS:
            skipped[name] = f"its type is {str(row['type'])[:40]!r}, not pairwise or single"
            continue
        if why := _unreadable(row):
            skipped[name] = why
            continue
        system = str(row.get("system_prompt") or "")
        shape = str(row.get("output_format") or "")
        brackets = shape.startswith("[[") or _asks_for(row["type"], row["prompt_template"] + system)
        template = Template(row["type"], row["prompt_template"], system.strip(), brackets)
        try:
            _check_places(template, f"file.{name}")
            found[name] = template
        except BadInput as error:
            skipped[name] = error.problem
    if not found:
        why = "; ".join(f"{name}: {reason}" for name, reason in skipped.items()) or "it is empty"
        raise BadInput("file", f"none of its templates can be used ({why[:500]})", FIX)
    return ReadTemplates(found, skipped)


def _unreadable(row: dict[str, Any]) -> str:
    """Why a verdict in this form cannot be read; empty where it can."""
    shape, wanted = str(row.get("output_format") or ""), FORMATS[row["type"]]
    if not shape.startswith("[[") or shape == wanted:
        return ""
    return f"its output_format is {shape[:40]!r}, and a {row['type']} template is answered with {wanted}"


def _rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise BadInput("file", f"line {number} is not JSON", "Each line is one JSON object.") from None
        needed = ("name", "type", "prompt_template")
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in needed):
            problem = f"line {number} lacks one of {', '.join(needed)} as a text"
            raise BadInput("file", problem, "Give each line MT-Bench's fields.")
        yield number, row


def _sort_of(text: str) -> Sort:
    places = Template("single", text).places
    return "pairwise" if places & {"answer_a", "answer_b"} else "single"


def _asks_for(sort: Sort, text: str) -> bool:
    """Whether it speaks of a verdict in double brackets: [[A]] of two answers; [[rating]] or [[5]] of one."""
    return _BRACKETS[sort].search(text) is not None


def _check_places(template: Template, where: str) -> None:
    missing = [name for name in PLACES[template.sort] if name not in template.places]
    unknown = sorted(template.places - KNOWN)
    if inside := sorted(replace(template, text=template.system).places):
        raise BadInput(
            where, f"has {{{inside[0]}}} in its system prompt, which is sent as it is", "Move it to the text."
        )
    if missing:
        more = f"; it has {', '.join(f'{{{name}}}' for name in unknown)}" if unknown else ""
        raise BadInput(where, f"has no place for {' and '.join(f'{{{name}}}' for name in missing)}{more}", FIX)
    if unknown:
        listed = ", ".join(f"{{{name}}}" for name in sorted(KNOWN))
        raise BadInput(where, f"has a place {{{unknown[0]}}} that nothing fills", f"Places are {listed}.")
