"""Two arms' completions of the same prompts, side by side with the judge's words: joined and filtered as tables.

Pure functions over JUDGEMENTS (shared/records.py); 20,000 rows are joined in a moment and only a page becomes text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Winner = Literal["a", "b", "tie", "unjudged"]
Disagreement = Literal["orders", "judges"]
SIDE = ("completion", "score", "verdict_ab", "verdict_ba", "raw_ab", "raw_ba")
TURNS = ("completion_2", "score_1", "score_2", "raw_1", "raw_2")
"""What a side has besides where a judge rated both turns of a conversation; null elsewhere."""
SHARED = ("prompt_id", "prompt", "category", "reference", "question_2", "winner", "orders_disagree", "judges_disagree")


def pair(
    prompts: pa.Table | None,
    a: pa.Table,
    b: pa.Table,
    others: Sequence[tuple[pa.Table, pa.Table]],
    categories: Mapping[str, str] | None = None,
) -> pa.Table:
    """A row for each prompt that both arms were judged on, in the order of `a`.

    `others` are the same two arms under other judges, `categories` those of prompts by their ids. Columns: those of
    SHARED, and each side's completion, score, verdicts and the judge's words (`a_…`, `b_…`).
    """
    ids = a["prompt_id"].combine_chunks()
    a = a.filter(pc.is_in(ids, value_set=b["prompt_id"].combine_chunks()))
    ids = a["prompt_id"].combine_chunks()
    b = _aligned(b, ids)
    winner = _winner(a, b)
    judges = pa.array([False] * len(ids))
    for other_a, other_b in others:
        judges = pc.or_(judges, _opposed(winner, _winner(_aligned(other_a, ids), _aligned(other_b, ids))))
    columns: dict[str, Any] = {
        "prompt_id": ids,
        "prompt": _texts(prompts, ids),
        "category": pa.array([(categories or {}).get(id) for id in ids.to_pylist()], pa.string()),
        "reference": _column(a, "reference"),
        "question_2": _column(a, "question_2"),
        "winner": winner,
        "orders_disagree": pc.or_(_orders(a), _orders(b)),
        "judges_disagree": judges,
    }
    for side, table in (("a", a), ("b", b)):
        columns |= {f"{side}_{name}": _column(table, name) for name in (*SIDE, *TURNS)}
    return pa.table(columns)


def chosen(
    rows: pa.Table,
    text: str = "",
    winner: Winner | None = None,
    disagreement: Disagreement | None = None,
    category: str = "",
) -> pa.Table:
    """The rows whose prompt has a text (letters' case aside) and is of a category, that a side has won, that were
    judged two ways."""
    if category:
        rows = rows.filter(pc.fill_null(pc.equal(rows["category"], category), False))
    if text:
        found = pc.match_substring(pc.fill_null(rows["prompt"], ""), text, ignore_case=True)
        rows = rows.filter(found)
    if winner is not None:
        rows = rows.filter(pc.equal(rows["winner"], winner))
    if disagreement is not None:
        rows = rows.filter(rows[f"{disagreement}_disagree"])
    return rows


def as_items(rows: pa.Table, arms: tuple[str, str]) -> list[dict[str, Any]]:
    """Rows as the API gives them: each side an object of its own."""
    return [
        {name: row[name] for name in SHARED}
        | {
            side: {"arm": arm} | {name: row[f"{side}_{name}"] for name in (*SIDE, *TURNS)}
            for side, arm in zip("ab", arms, strict=True)
        }
        for row in rows.to_pylist()
    ]


def counts(rows: pa.Table) -> dict[str, int]:
    """How many rows each side won, and how many were judged two ways."""
    won = {entry["values"]: entry["counts"] for entry in pc.value_counts(rows["winner"]).to_pylist()}
    flags: Mapping[str, int] = {name: pc.sum(rows[f"{name}_disagree"]).as_py() or 0 for name in ("orders", "judges")}
    return {name: won.get(name, 0) for name in ("a", "b", "tie", "unjudged")} | dict(flags)


def categories(rows: pa.Table) -> dict[str, int]:
    """How many rows each category has, the names in their order; empty where no prompt has one."""
    found = {one["values"]: one["counts"] for one in pc.value_counts(rows["category"]).to_pylist()}
    return {name: found[name] for name in sorted(name for name in found if name)}


def _aligned(table: pa.Table, ids: pa.Array) -> pa.Table:
    """The rows of `table` in the order of `ids`; nulls where it has none."""
    return table.take(pc.index_in(ids, value_set=table["prompt_id"].combine_chunks()))


def _winner(a: pa.Table, b: pa.Table) -> pa.Array:
    left, right = _scores(a), _scores(b)
    decided = pc.if_else(pc.greater(left, right), "a", pc.if_else(pc.less(left, right), "b", "tie"))
    return pc.fill_null(decided, "unjudged")


def _scores(table: pa.Table) -> pa.Array:
    score = table["score"].combine_chunks().cast(pa.float64())
    return pc.if_else(pc.fill_null(table["valid"].combine_chunks(), False), score, pa.scalar(None, pa.float64()))


def _orders(table: pa.Table) -> pa.Array:
    """Whether the two orders of showing name different winners."""
    if not {"verdict_ab", "verdict_ba"} <= set(table.column_names):
        return pa.array([False] * table.num_rows)
    first, second = (table[name].combine_chunks().cast(pa.string()) for name in ("verdict_ab", "verdict_ba"))
    return pc.fill_null(_opposed(first, second), False)


def _opposed(first: pa.Array, second: pa.Array) -> pa.Array:
    """Where one says a and the other b."""
    one_way = pc.and_(pc.equal(first, "a"), pc.equal(second, "b"))
    return pc.fill_null(pc.or_(one_way, pc.and_(pc.equal(first, "b"), pc.equal(second, "a"))), False)


def _texts(prompts: pa.Table | None, ids: pa.Array) -> pa.Array:
    if prompts is None:
        return pa.nulls(len(ids), pa.string())
    return _aligned(prompts, ids)["prompt"].combine_chunks()


def _column(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return table[name].combine_chunks()
