"""`check: regex`: the spec's pattern is found in the completion. `{answer}` in it stands for the right answer."""

from __future__ import annotations

import re

from shared.checks.base import Checked
from shared.errors import PermanentError

ANSWER = "{answer}"
SECONDS = 1.0


def matches(checked: Checked) -> float:
    """Raises `PermanentError` where the pattern is none, or a search takes over a second: it may take for ever."""
    # Not the standard library's: that one cannot be stopped.
    import regex

    pattern = (checked.pattern or "").replace(ANSWER, re.escape(checked.answer or ""))
    try:
        return float(regex.search(pattern, checked.completion, timeout=SECONDS) is not None)
    except regex.error as error:
        raise PermanentError(f"pattern: no regular expression ({error}); correct it") from None
    except TimeoutError:
        raise PermanentError(
            f"pattern: a search took more than {SECONDS:g} s; write it without nested repetition"
        ) from None
