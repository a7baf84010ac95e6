"""Wrong answers, of the kinds that weak models give."""

from __future__ import annotations

import random
from collections.abc import Callable

from shared.world.tasks import Task
from shared.world.vocabulary import ANSWER_ENDS

Words = list[str]


def _lazy(rng: random.Random, answer: Words, items: Words) -> Words:
    return [*answer[: max(1, len(answer) // 2)], ANSWER_ENDS]


def _swap(rng: random.Random, answer: Words, items: Words) -> Words:
    if len(answer) > 1:
        at = rng.randrange(len(answer) - 1)
        answer[at], answer[at + 1] = answer[at + 1], answer[at]
    return [*answer, ANSWER_ENDS]


def _wrong(rng: random.Random, answer: Words, items: Words) -> Words:
    answer[rng.randrange(len(answer))] = rng.choice(items)
    return [*answer, ANSWER_ENDS]


def _ramble(rng: random.Random, answer: Words, items: Words) -> Words:
    return [*answer, *(rng.choice(items) for _ in range(rng.randint(1, 3))), ANSWER_ENDS]


def _unfinished(rng: random.Random, answer: Words, items: Words) -> Words:
    return answer


def _echo(rng: random.Random, answer: Words, items: Words) -> Words:
    return [*items, ANSWER_ENDS]


KINDS: tuple[Callable[[random.Random, Words, Words], Words], ...] = (_lazy, _swap, _wrong, _ramble, _unfinished, _echo)


def corrupt(rng: random.Random, task: Task) -> str:
    """A wrong answer: half of it, two words swapped, one replaced, too long, without its full stop, or an echo.

    A kind that would leave the right answer as it was (swapping a single word) is drawn again.
    """
    right = [*task.answer(), ANSWER_ENDS]
    while True:
        words = rng.choice(KINDS)(rng, right[:-1], list(task.items))
        if words != right:
            return " ".join(words)
