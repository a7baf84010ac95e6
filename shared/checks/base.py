"""What a check is: a function of a completion and of what is known about its prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Checked:
    """What a check looks at: `answer` is the right one, where there is a dataset of them, `pattern` the spec's."""

    prompt: str
    completion: str
    answer: str | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Check:
    """`score` gives 1 for a right completion and 0 for a wrong one, or a share of it."""

    score: Callable[[Checked], float]
    needs_answer: bool = False
    needs_pattern: bool = False
