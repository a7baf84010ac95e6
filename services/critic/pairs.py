"""Pairs and their labels as rows (PREFERENCES). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.canonical import sha256_hex
from shared.comparisons import Comparison, Verdicts
from shared.errors import PermanentError

Row = dict[str, Any]
Rows = Iterable[Mapping[str, Any]]


def sample_pairs(samples: Rows) -> list[Comparison]:
    """The first two samples of each prompt, in the prompts' order.

    Raises:
        PermanentError: a prompt has fewer than two.
    """
    of_prompt: dict[str, list[Mapping[str, Any]]] = {}
    for row in samples:
        of_prompt.setdefault(row["prompt_id"], []).append(row)
    pairs = []
    for prompt_id, rows in of_prompt.items():
        if len(rows) < 2:
            raise PermanentError(f"prompt {prompt_id} has one sample, and a pair needs two: write `samples: 2` or more")
        first, second = sorted(rows, key=lambda row: int(row["sample_index"]))[:2]
        pairs.append(Comparison(prompt_id, first["prompt"], first["completion"], second["completion"]))
    return pairs


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
        "dropped": drop_reason(pair, preference),
    }
    if verdicts is not None:
        row |= {"verdict_ab": verdicts.ab, "verdict_ba": verdicts.ba}
        row |= {"raw_ab": verdicts.raw_ab, "raw_ba": verdicts.raw_ba}
    if row["dropped"] is None and preference is not None:
        row["chosen"], row["rejected"] = (pair.a, pair.b) if preference > 0.5 else (pair.b, pair.a)
    return row


def drop_reason(pair: Comparison, preference: float | None) -> str | None:
    """Why a pair teaches nothing; None if it does."""
    if pair.a == pair.b:
        return "identical"
    if preference is None:
        return "unparsable"
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
