"""What became of a stage's requests, as people see it: from the metrics of its commits. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def answers_of(metrics: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Counts over a stage's commits (shared/llm/usage.py says of what); None where no endpoint was asked."""
    asked = [one for one in metrics if "outcomes" in one]
    if not asked:
        return None
    return {
        **{name: _added(one.get(name, {}) for one in asked) for name in ("outcomes", "reasked")},
        **{name: sum(int(one.get(name, 0)) for one in asked) for name in ("unparsable", "without_usage")},
    }


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
