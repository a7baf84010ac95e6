"""The default template of a pairwise comparison (after Zheng et al. 2023, "Judging LLM-as-a-Judge", section 3).

`pairwise.txt` is what is asked; it treats the two places alike. Texts are put between lines that begin with a fence: a
run of `#` that is longer than any run in the texts themselves, so no answer can pretend to end, or to be the other one.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Literal

Verdict = Literal["a", "b", "tie", "unparsable"]

PAIRWISE = files(__package__).joinpath("pairwise.txt").read_text(encoding="utf-8").rstrip("\n")
SHORTEST_FENCE = 5

_FIELD = re.compile(r"\{(fence|prompt|answer_a|answer_b)\}")
_VERDICT = re.compile(r"[*_` ]*verdict:[*_` ]*(a|b|tie)[*_` ]*\.?[*_` ]*", re.IGNORECASE)
_VERDICTS: dict[str, Verdict] = {"a": "a", "b": "b", "tie": "tie"}


def render_pairwise(prompt: str, answer_a: str, answer_b: str) -> str:
    """The text of the user message that asks which of two answers is better."""
    texts = {"prompt": prompt, "answer_a": answer_a, "answer_b": answer_b}
    runs = (len(run) for text in texts.values() for run in re.findall("#+", text))
    texts["fence"] = "#" * max(SHORTEST_FENCE, 1 + max(runs, default=0))
    return _FIELD.sub(lambda field: texts[field[1]], PAIRWISE)


def split_pairwise(text: str) -> tuple[str, str, str] | None:
    """(prompt, answer A, answer B) exactly as `render_pairwise` was given them; None if it did not make this text."""
    match = _PATTERN.fullmatch(text)
    return None if match is None else (match["prompt"], match["answer_a"], match["answer_b"])


def parse_verdict(text: str) -> Verdict:
    """What the last line of a critic's words says. Only a line that is a verdict and nothing else counts.

    Case, Markdown emphasis and a full stop do not matter. Everything else is `unparsable`: never a guess.
    """
    match = _VERDICT.fullmatch(text.strip().rpartition("\n")[2].strip())
    return "unparsable" if match is None else _VERDICTS[match[1].lower()]


def _pattern() -> re.Pattern[str]:
    """The template as a pattern: its first fence is captured, the others must be the same one."""
    pieces: list[str] = []
    seen: set[str] = set()
    end = 0
    for field in _FIELD.finditer(PAIRWISE):
        pieces.append(re.escape(PAIRWISE[end : field.start()]))
        name, end = field[1], field.end()
        content = f"#{{{SHORTEST_FENCE},}}" if name == "fence" else "(?s:.*?)"
        pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>{content})")
        seen.add(name)
    return re.compile("".join([*pieces, re.escape(PAIRWISE[end:])]))


_PATTERN = _pattern()
