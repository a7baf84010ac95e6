"""MT-Bench's own prompts for rating one answer (Zheng et al. 2023, arXiv 2306.05685): `mt_bench.json` has the texts of
lm-sys/FastChat (Apache License 2.0), unchanged."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from shared.templates.template import Template

_TEXTS: dict[str, Any] = json.loads(files(__package__).joinpath("mt_bench.json").read_text(encoding="utf-8"))


def _template(name: str) -> Template:
    """FastChat sends the system prompt as it stands, line breaks at its end included; so do we."""
    given = _TEXTS["templates"][name]
    return Template("single", given["text"], given["system"], brackets=True)


FIRST = _template("single-v1")
FIRST_WITH_REFERENCE = _template("single-math-v1")
SECOND = _template("single-v1-multi-turn")
SECOND_WITH_REFERENCE = _template("single-math-v1-multi-turn")
"""The last two show the whole conversation, and ask about the answer to its second question."""
