"""`check: world`: the true reward in the simulated world."""

from __future__ import annotations

from shared.checks.base import Checked
from shared.world.reward import reward


def world(checked: Checked) -> float:
    """0 to 1. Raises `BadInput` for a prompt of another world."""
    return reward(checked.prompt, checked.completion)
