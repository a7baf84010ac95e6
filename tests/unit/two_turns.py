"""Questions of two turns in the simulated world: what MT-Bench's are among prompts of language models."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shared.datasets import add_dataset
from shared.store import ObjectStore
from shared.world.prompts import make_prompts
from shared.world.tasks import gold, parse

WITH_REFERENCE = {"reverse", "sort", "count"}
"""Tasks whose questions come with right answers, as MT-Bench's math, reasoning and coding do."""


def questions(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Rows of a dataset; a category is the first turn's task."""
    texts = [prompt.text for prompt in make_prompts(2 * count, seed)]
    rows = []
    for number, turns in enumerate(zip(texts[:count], texts[count:], strict=True)):
        task = parse(turns[0]).name
        reference = [gold(turn) for turn in turns] if task in WITH_REFERENCE else None
        rows.append({"prompt_id": f"q{number}", "turns": list(turns), "category": task, "reference": reference})
    return rows


def add_questions(store: ObjectStore, name: str, count: int) -> str:
    """Add such a dataset; its content's hash."""
    return add_dataset(store, name, pa.Table.from_pylist(questions(count)))
