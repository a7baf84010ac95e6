"""`check: exact`: the completion is the right answer, but for white space at its ends and between its words."""

from __future__ import annotations

from shared.checks.base import Checked


def exact(checked: Checked) -> float:
    return float(checked.completion.split() == (checked.answer or "").split())
