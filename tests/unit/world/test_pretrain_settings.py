"""The settings of the base model, as a spec gives them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.world.pretrain import PretrainSettings


def test_the_defaults_are_settings() -> None:
    assert PretrainSettings().mixed_steps < PretrainSettings().steps


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"steps": 100, "mixed_steps": 101}, "must not exceed steps"),
        ({"steps": 0, "mixed_steps": 0}, "steps"),
        ({"accuracy": 1.5}, "accuracy"),
        ({"width": 100}, "width"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"depth": 3}, "depth"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        PretrainSettings(**values)
