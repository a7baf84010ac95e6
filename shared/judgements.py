"""Judgements of two arms, seen from the other one's side."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shared.plan.comparisons import SWAPPED

ORDERS = {"ab": "ba", "ba": "ab"}


def mirrored(table: pa.Table) -> pa.Table:
    """Rows (JUDGEMENTS) of a against b as rows of b against a: scores are 100 less, and a is what b was."""
    return pa.Table.from_pylist([_mirrored(row) for row in table.to_pylist()], schema=table.schema)


def _mirrored(row: dict[str, Any]) -> dict[str, Any]:
    found = {**row, "score": None if row["score"] is None else 100.0 - row["score"], **_verdicts(row)}
    for one, other in (("completion", "reference"), ("score_a", "score_b")):
        if one in row and other in row:
            found[one], found[other] = row[other], row[one]
    if row.get("votes"):
        found["votes"] = [_vote(vote) for vote in row["votes"]]
    return found


def _vote(vote: dict[str, Any]) -> dict[str, Any]:
    preference = vote["preference"]
    return {**vote, "preference": None if preference is None else 1.0 - preference, **_verdicts(vote)}


def _verdicts(row: dict[str, Any]) -> dict[str, Any]:
    """Verdicts by content with both orders exchanged; one that knows no order stays in ab."""
    found: dict[str, Any] = {}
    ordered = row.get("verdict_ba") is not None or row.get("order_asked") is not None
    for order, other in ORDERS.items():
        source = other if ordered else order
        for name in (f"verdict_{order}", f"raw_{order}"):
            if name in row:
                value = row[f"{name.partition('_')[0]}_{source}"]
                found[name] = SWAPPED.get(value, value) if name.startswith("verdict") else value
    if row.get("order_asked") is not None:
        found["order_asked"] = ORDERS[row["order_asked"]]
    if row.get("margin") is not None:
        found["margin"] = -row["margin"]
    return found
