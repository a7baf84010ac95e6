"""Cards as Hugging Face reads them: YAML front matter and Markdown whose texts, which users chose, break nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

LICENCE: dict[str, Any] = {"license": "other", "license_name": "choose-before-publishing"}
LICENCE_WORDS = """## Licence

**Not chosen yet.** Replace `license` and `license_name` at the top of this file before you publish it. Nobody has
checked what the licences of base model and prompts allow, nor the terms of those whose models wrote completions or
labels."""


def front_matter(fields: Mapping[str, Any]) -> str:
    """The block that a card begins with."""
    return f"---\n{yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True)}---\n"


def as_yaml(value: Mapping[str, Any]) -> str:
    """Plain data as a block of YAML."""
    return f"```yaml\n{yaml.safe_dump(dict(value), sort_keys=True, allow_unicode=True)}```"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; empty where it has no row."""
    lines = [[text(cell) for cell in row] for row in rows]
    if not lines:
        return ""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def text(value: Any) -> str:
    """A value within a line or a table's cell."""
    words = " ".join(str(value).split())
    for letter in "\\|`*_<>[]":
        words = words.replace(letter, f"\\{letter}")
    return words


def code(value: Any) -> str:
    """A value as code within a line."""
    return f"`{' '.join(str(value).split()).replace('`', '')}`"
