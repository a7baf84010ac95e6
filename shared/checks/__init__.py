"""Checks that tell a right completion from a wrong one. Adding one is one file beside these and one line here."""

from __future__ import annotations

from shared.checks.base import Check
from shared.checks.exact import exact
from shared.checks.numeric import numeric
from shared.checks.regex import matches
from shared.checks.world import world

CHECKS: dict[str, Check] = {
    "exact": Check(exact, needs_answer=True),
    "numeric": Check(numeric, needs_answer=True),
    "regex": Check(matches, needs_pattern=True),
    "world": Check(world),
}

__all__ = ["CHECKS", "Check"]
