"""Tasks: a question about three to five items. The right answer follows from the prompt's text alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from shared.errors import BadInput
from shared.world.vocabulary import ANSWER_ENDS, CATEGORIES, PROMPT_ENDS, QUESTION_ENDS, QUESTIONS


@dataclass(frozen=True)
class Task:
    """A parsed prompt: what is asked, of which items."""

    name: str
    items: tuple[str, ...]
    category: str | None = None

    def answer(self) -> tuple[str, ...]:
        """The right answer's words, without the full stop."""
        items = self.items
        match self.name:
            case "reverse":
                return items[::-1]
            case "copy":
                return items
            case "first":
                return items[:1]
            case "last":
                return items[-1:]
            case "pick":
                return tuple(item for item in items if item in CATEGORIES[self.category or ""])
            case "sort":
                return tuple(sorted(items, key=int))
            case "max":
                return (max(items, key=int),)
            case "count":
                return (str(len(items)),)
        raise ValueError(f"no such task: {self.name}")


def render(question: str, items: tuple[str, ...]) -> str:
    """The prompt's text: `Sort these numbers : 9 4 20 =`."""
    return " ".join((question, QUESTION_ENDS, *items, PROMPT_ENDS))


@lru_cache(maxsize=65536)
def parse(prompt: str) -> Task:
    """The task that a prompt's text states.

    Raises:
        BadInput: the text is no prompt of the simulated world.
    """
    head, _, rest = prompt.partition(f" {QUESTION_ENDS} ")
    words = rest.split()
    known = QUESTIONS.get(" ".join(head.split()))
    if known is None or len(words) < 2 or words[-1] != PROMPT_ENDS:
        raise _foreign(prompt)
    name, category = known
    items = tuple(words[:-1])
    if name in ("sort", "max") and not all(item.isdecimal() for item in items):
        raise _foreign(prompt)
    task = Task(name, items, category)
    if not task.answer():
        raise _foreign(prompt)
    return task


def gold(prompt: str) -> str:
    """The right answer to a prompt, as text: `4 9 20 .`. Raises `BadInput` for a prompt of another world."""
    return " ".join((*parse(prompt).answer(), ANSWER_ENDS))


def _foreign(prompt: str) -> BadInput:
    return BadInput(
        "prompt",
        f"{prompt[:120]!r} is no prompt of the simulated world, so its true answer is unknown",
        "Simulated teachers, critics and judges need prompts from `prompts: {source: {world: ...}}`.",
    )
