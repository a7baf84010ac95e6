"""Labels of pairs as rows (PREFERENCES). Pure; which pairs there are, shared/pairs.py says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import isqrt
from typing import Any

from shared.canonical import sha256_hex
from shared.errors import PermanentError
from shared.plan.comparisons import Comparison, Verdicts

Row = dict[str, Any]
Rows = Iterable[Mapping[str, Any]]


def best_and_worst(
    pairs: Sequence[Comparison], verdicts: Sequence[Verdicts]
) -> tuple[list[Comparison], list[Verdicts]]:
    """Of each prompt's pairs (all of its samples', as `sample_pairs` orders them) the one of the best and the worst.

    By the mean preference in a sample's comparisons, then by its margins; the earlier one of equals is the better. The
    verdict is the critic's on that very pair.
    """
    of_prompt: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        of_prompt.setdefault(pair.prompt_id, []).append(place)
    kept = [_extremes(places, [verdicts[place] for place in places]) for places in of_prompt.values()]
    return [pairs[place] for place in kept], [verdicts[place] for place in kept]


def _extremes(places: Sequence[int], verdicts: Sequence[Verdicts]) -> int:
    """The place of the pair of the best and the worst of n samples, whose n (n - 1) / 2 pairs are at `places`."""
    count = (1 + isqrt(1 + 8 * len(places))) // 2
    both = list(combinations(range(count), 2))
    shares: list[list[float]] = [[] for _ in range(count)]
    margins = [0.0] * count
    for (one, other), verdict in zip(both, verdicts, strict=True):
        if verdict.preference is not None:
            shares[one].append(verdict.preference)
            shares[other].append(1 - verdict.preference)
        margins[one] += verdict.margin or 0.0
        margins[other] -= verdict.margin or 0.0

    def rank(at: int) -> tuple[float, float, int]:
        return (sum(shares[at]) / len(shares[at]) if shares[at] else 0.5, margins[at], -at)

    ends = sorted((max(range(count), key=rank), min(range(count), key=rank)))
    return places[both.index((ends[0], ends[1]))]


def choose_recorded(
    prompts: Sequence[Mapping[str, Any]], recorded: Rows, per_prompt: int, drop: bool, name: str
) -> list[tuple[Comparison, float]]:
    """At most `per_prompt` recorded pairs of each prompt and the probability that a is better.

    Decided ones go first, then their content's hash says which.

    Raises:
        PermanentError: a prompt has none, and such prompts are not to be dropped.
    """
    of_prompt: dict[str, list[Mapping[str, Any]]] = {prompt["prompt_id"]: [] for prompt in prompts}
    for row in recorded:
        if row["prompt_id"] in of_prompt:
            of_prompt[row["prompt_id"]].append(row)
    missing = [prompt_id for prompt_id, rows in of_prompt.items() if not rows]
    if missing and not drop:
        raise PermanentError(
            f"models.{name}.preferences: no recorded pair for {len(missing)} prompts ({missing[0]} …); write "
            f"`missing: drop` under models.{name} to leave them out"
        )
    return [
        (Comparison(prompt["prompt_id"], prompt["prompt"], row["completion_a"], row["completion_b"]), row["preference"])
        for prompt in prompts
        for row in sorted(of_prompt[prompt["prompt_id"]], key=_order)[:per_prompt]
    ]


def preference_row(pair: Comparison, preference: float | None, verdicts: Verdicts | None = None) -> Row:
    """One row: the preference, and which completion is chosen, or why there is no training pair."""
    row: Row = {
        "prompt_id": pair.prompt_id,
        "prompt": pair.prompt,
        "completion_a": pair.a,
        "completion_b": pair.b,
        "preference": preference,
        "dropped": drop_reason(pair, preference, asked=verdicts is None or (verdicts.ab, verdicts.ba) != (None, None)),
    }
    if verdicts is not None:
        row |= verdicts.columns()
    if row["dropped"] is None and preference is not None:
        row["chosen"], row["rejected"] = (pair.a, pair.b) if preference > 0.5 else (pair.b, pair.a)
    return row


def drop_reason(pair: Comparison, preference: float | None, asked: bool = True) -> str | None:
    """Why a pair teaches nothing; None if it does. Not `asked`: there was nothing to judge it by (no right answer)."""
    if pair.a == pair.b:
        return "identical"
    if preference is None:
        return "unparsable" if asked else "unjudged"
    if preference == 0.5:
        return "tie"
    chosen = pair.a if preference > 0.5 else pair.b
    return None if chosen.strip() else "empty"


def count(rows: Sequence[Row]) -> dict[str, Any]:
    """How many pairs there are, and why some teach nothing; may be added up over shards."""
    dropped = Counter(row["dropped"] for row in rows if row["dropped"])
    return {"pairs": len(rows), "usable": len(rows) - dropped.total(), "dropped": dict(dropped)}


def _order(row: Mapping[str, Any]) -> tuple[bool, str]:
    return row["preference"] == 0.5, sha256_hex(f"{row['completion_a']}\0{row['completion_b']}")
