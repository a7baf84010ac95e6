"""What a comparison of completions leaves: verdicts, counts of them, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.artifacts import Cost
from shared.plan.comparisons import Verdicts


@dataclass(frozen=True)
class Compared:
    """Verdicts in the order of the comparisons, and what they took."""

    verdicts: list[Verdicts]
    metrics: dict[str, Any]
    cost: Cost


def rates(verdicts: Sequence[Verdicts]) -> dict[str, Any]:
    """Counts of what came out, which may be added up over shards; `both_orders` are the pairs that were asked twice."""
    kinds = Counter(verdict for pair in verdicts for verdict in (pair.ab, pair.ba) if verdict is not None)
    both = [pair for pair in verdicts if pair.raw_ba is not None and pair.order_asked is None]
    return {
        "pairs": len(verdicts),
        "both_orders": len(both),
        "flips": sum(pair.flipped for pair in both),
        "first_shown_preferred": sum((pair.ab == "a") + (pair.ba == "b") for pair in both),
        "ties": kinds["tie"],
        "unparsable": kinds["unparsable"],
    }
