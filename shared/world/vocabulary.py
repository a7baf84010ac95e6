"""The words of the simulated world. A tokenizer of whole words over `VOCABULARY` covers every prompt and answer."""

from __future__ import annotations

from itertools import chain


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CATEGORIES: dict[str, tuple[str, ...]] = {
    "animals": _words("cat dog cow pig hen fox owl bat bee ant elk yak"),
    "fruits": _words("plum pear lime kiwi date fig nut melon apple grape peach mango"),
    "tools": _words("saw axe nail bolt rope drill hammer wrench shovel ladder brush knife"),
}
ITEMS: tuple[str, ...] = tuple(chain.from_iterable(CATEGORIES.values()))
NUMBERS: tuple[str, ...] = tuple(str(number) for number in range(31))

QUESTION_ENDS = ":"
PROMPT_ENDS = "="
ANSWER_ENDS = "."

TEMPLATES: dict[str, tuple[str, str]] = {
    "reverse": ("Reverse this list", "Write these items backwards"),
    "copy": ("Repeat this list", "Write these items again"),
    "first": ("What is the first item of", "Name only the first item in"),
    "last": ("What is the last item of", "Name only the last item in"),
    "pick": ("List only the {category} in", "Which of these are {category}"),
    "sort": ("Sort these numbers", "Order from small to large"),
    "max": ("What is the largest number in", "Name only the largest number of"),
    "count": ("How many items are in", "Count the items in"),
}
"""Two wordings of each task; `{category}` stands for one of `CATEGORIES`."""

QUESTIONS: dict[str, tuple[str, str | None]] = {
    wording.format(category=category): (task, category if "{category}" in wording else None)
    for task, wordings in TEMPLATES.items()
    for wording in wordings
    for category in CATEGORIES
}
"""What each question asks: (task, category)."""

VOCABULARY: tuple[str, ...] = tuple(
    sorted({*ITEMS, *NUMBERS, QUESTION_ENDS, PROMPT_ENDS, ANSWER_ENDS, *" ".join(QUESTIONS).split()})
)
