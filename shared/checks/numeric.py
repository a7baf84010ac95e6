"""`check: numeric`: the last number in the completion is the last one in the right answer, as in GSM8K."""

from __future__ import annotations

import re
from decimal import Decimal

from shared.checks.base import Checked

NUMBER = re.compile(r"(?:(?<![\w)])-)?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
"""A hyphen between numbers or words is no minus."""


def numeric(checked: Checked) -> float:
    given, right = _last_number(checked.completion), _last_number(checked.answer or "")
    return float(given is not None and given == right)


def _last_number(text: str) -> Decimal | None:
    """The last number, without the commas between its thousands."""
    found = NUMBER.findall(text)
    return Decimal(found[-1].replace(",", "")) if found else None
