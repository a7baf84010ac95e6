"""What becomes of labelled pairs before a method sees them: a control's selection, or their better halves. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shared import records
from shared.canonical import sha256_hex
from shared.errors import PermanentError

Row = dict[str, Any]
SIDES = [("chosen", "rejected"), *((f"ref_chosen_{what}", f"ref_rejected_{what}") for what in ("logps", "tokens"))]


def selected(table: pa.Table, params: Mapping[str, Any]) -> pa.Table:
    """PREFERENCES as a stage's params want them: `labels: random` and `length_within`; untouched without either.

    Raises:
        PermanentError: no pair is left.
    """
    if "length_within" in params:
        table = _of_like_length(table, float(params["length_within"]))
    if params.get("labels") == "random":
        table = _relabelled(table, int(params["seed"]))
    return table


def chosen(table: pa.Table) -> pa.Table:
    """The chosen completions of PREFERENCES as demonstrations (COMPLETIONS).

    Raises:
        PermanentError: none of the pairs has a better one.
    """
    rows = [
        {"prompt_id": row["prompt_id"], "prompt": row["prompt"], "sample_index": 0, "completion": row["chosen"]}
        for row in table.select(["prompt_id", "prompt", "chosen"]).to_pylist()
        if row["chosen"] is not None
    ]
    if not rows:
        raise PermanentError(f"preferences: none of {table.num_rows} rows has a chosen completion to train on")
    return records.from_rows(rows, records.COMPLETIONS)


def _of_like_length(table: pa.Table, within: float) -> pa.Table:
    """Without the training pairs whose lengths in characters differ by `within` or more of the longer one."""
    rows = table.select(["chosen", "rejected"]).to_pylist()
    pairs = sum(row["chosen"] is not None for row in rows)
    kept = [row["chosen"] is None or _difference(row) < within for row in rows]
    if pairs and not any(keep and row["chosen"] is not None for keep, row in zip(kept, rows, strict=True)):
        raise PermanentError(
            f"preferences: none of {pairs} pairs has two lengths within {within:g} of each other; raise "
            "control.within, or sample more"
        )
    return table.filter(pa.array(kept))


def _difference(row: Row) -> float:
    first, second = len(row["chosen"]), len(row["rejected"])
    return abs(first - second) / max(first, second, 1)


def _relabelled(table: pa.Table, seed: int) -> pa.Table:
    """Every training pair with the label of a coin, which its own content and the seed fix."""
    rows = [_tossed(row, seed) for row in table.to_pylist()]
    return pa.Table.from_pylist(rows, schema=table.schema)


def _tossed(row: Row, seed: int) -> Row:
    if row["chosen"] is None or row["rejected"] is None:
        return row
    # Of both texts in one order, so that who was chosen before says nothing of the coin.
    pair = sorted((row["chosen"], row["rejected"]))
    heads = int(sha256_hex("\0".join([str(seed), row["prompt_id"], *pair])), 16) % 2
    return row if pair[heads] == row["chosen"] else {**row, **_exchanged(row)}


def _exchanged(row: Row) -> Row:
    """The columns of a pair with the other label; what a reference says of either completion goes with it."""
    there = [sides for sides in SIDES if sides[0] in row]
    return {name: row[other] for sides in there for name, other in (sides, sides[::-1])}
