"""Whether a check's settings go together: what every part of a spec that names one asks."""

from __future__ import annotations

import re

from shared.checks import CHECKS
from shared.checks.regex import ANSWER


def check_settings(check: str, pattern: str | None) -> None:
    """Raises ValueError, as `problem; fix`, for an unknown check and for a pattern that it has no use for, or lacks."""
    found = CHECKS.get(check)
    if found is None:
        raise ValueError(f"check {check[:80]!r} is unknown; use one of: {', '.join(CHECKS)}")
    if found.needs_pattern != (pattern is not None):
        fix = f"write one that {check} looks for" if found.needs_pattern else "remove `pattern`"
        raise ValueError(f"check {check} takes {'a' if found.needs_pattern else 'no'} pattern; {fix}")
    try:
        re.compile((pattern or "").replace(ANSWER, "x"))
    except re.error as error:
        raise ValueError(f"pattern is no regular expression ({error}); correct it") from None


def needs_answers(check: str, pattern: str | None) -> bool:
    """Whether a known check looks at a right answer."""
    return CHECKS[check].needs_answer or (pattern is not None and ANSWER in pattern)
