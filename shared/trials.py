"""What a training that is tried leaves beside its model, and the stage that chooses among trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FOLDER = "checkpoints"
"""Of a training's files, `checkpoints/1/…` are its states before the end."""
DIVERGED = "diverged"
"""Of a training's metrics: why what it left is the model that it began with."""
TRIALS = "trials.parquet"
"""What a stage `choose` found of each trial."""


def steps_at(total: int, states: int) -> list[int]:
    """After how many of `total` steps each of the states is taken: equally far apart, the last at the end."""
    return [-(-total * number // states) for number in range(1, states + 1)]


def words_of(trial: Mapping[str, Any]) -> str:
    """A trial in words: `learning_rate 0.001, beta 0.1, checkpoint 2 of 4`."""
    words = [f"{name} {text_of(value)}" for name, value in trial["settings"].items()]
    if trial.get("checkpoint") is not None:
        words.append(f"checkpoint {trial['checkpoint']} of {trial['of']}")
    return ", ".join(words)


def text_of(value: Any) -> str:
    """A setting's value as it is read."""
    return f"{value:g}" if isinstance(value, float) else str(value)
