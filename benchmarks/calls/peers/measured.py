"""What each peer's script shares: read what to ask, measure the asking, tell. Only the standard library."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Asked = dict[str, Any]


def main(ask: Callable[[Asked], int]) -> None:
    """`<script> ASKED TOLD`: `ask` returns how many answers it has. Imports come before, and are not counted."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    before = _cpu()
    answers = ask(asked)
    told = {"ended": time.time(), "cpu": _cpu() - before, "answers": answers}
    Path(sys.argv[2]).write_text(json.dumps(told))


def _cpu() -> float:
    """Seconds of this process and of children that ended."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)
