"""Prompts of the simulated world, made from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from shared.errors import BadInput
from shared.world.draws import generator
from shared.world.tasks import render
from shared.world.vocabulary import CATEGORIES, ITEMS, NUMBERS, TEMPLATES

TASKS = tuple(TEMPLATES)
LARGEST_POOL = 1_000_000


@dataclass(frozen=True)
class WorldPrompt:
    """A prompt and its name in the pool it was made for."""

    prompt_id: str
    text: str


def make_prompts(count: int, seed: int) -> list[WorldPrompt]:
    """`count` distinct prompts. A larger pool of the same seed begins with the smaller one.

    Raises:
        BadInput: more prompts than the world comfortably has, or less than one.
    """
    if not 1 <= count <= LARGEST_POOL:
        raise BadInput("count", f"{count} prompts cannot be made", f"Ask for 1 to {LARGEST_POOL}.")
    rng = generator("prompts", seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts.setdefault(draw_prompt(rng))
    return [WorldPrompt(f"w{seed}-{index:05d}", text) for index, text in enumerate(texts)]


def draw_prompt(rng: random.Random) -> str:
    """One prompt: a task by even chance, one of its wordings, three to five items without repeats."""
    name = rng.choice(TASKS)
    question = rng.choice(TEMPLATES[name])
    size = rng.randint(3, 5)
    if name in ("sort", "max"):
        return render(question, tuple(rng.sample(NUMBERS, size)))
    if name == "pick":
        category = rng.choice(tuple(CATEGORIES))
        wanted = rng.randint(1, size - 1)
        others = [item for item in ITEMS if item not in CATEGORIES[category]]
        items = rng.sample(CATEGORIES[category], wanted) + rng.sample(others, size - wanted)
        rng.shuffle(items)
        return render(question.format(category=category), tuple(items))
    return render(question, tuple(rng.sample(ITEMS, size)))
