"""The rows that stages hand to each other: Parquet schemas and their reading and writing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.errors import StageError

PROMPTS = pa.schema([("prompt_id", pa.string()), ("prompt", pa.string()), ("split", pa.string()), ("rank", pa.int32())])
"""split is eval, dev or train; rank is the order within the split, so that a fraction is its first rows."""

MORE_OF_PROMPTS = pa.schema(
    [("turns", pa.list_(pa.string())), ("category", pa.string()), ("reference", pa.list_(pa.string()))]
)
"""What PROMPTS has besides where its dataset does: all turns of a prompt (the first is `prompt`), what it is about, and
right answers, one a turn. Null where a prompt has none."""

COMPLETIONS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("sample_index", pa.int32()),
        ("prompt", pa.string()),
        ("completion", pa.string()),
        ("finish_reason", pa.string()),
        ("input_tokens", pa.int32()),
        ("output_tokens", pa.int32()),
    ]
)
"""A teacher's demonstrations and a policy's samples alike."""

VOTE = pa.struct(
    [
        ("preference", pa.float64()),
        ("verdict_ab", pa.string()),
        ("verdict_ba", pa.string()),
        ("raw_ab", pa.string()),
        ("raw_ba", pa.string()),
        ("order_asked", pa.string()),
        ("margin", pa.float64()),
    ]
)
VERDICTS = [
    ("order_asked", pa.string()),
    ("score_a", pa.float64()),
    ("score_b", pa.float64()),
    ("margin", pa.float64()),
    ("votes", pa.list_(VOTE)),
]
"""What some critics say besides; null elsewhere, and absent from what was written before there were such critics.

order_asked is ab or ba where one order alone was asked; margin is score_a - score_b of a critic that scores; votes are
an ensemble's, in the order of its members."""

PREFERENCES = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", pa.string()),
        ("completion_a", pa.string()),
        ("completion_b", pa.string()),
        ("verdict_ab", pa.string()),
        ("verdict_ba", pa.string()),
        ("preference", pa.float64()),
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("dropped", pa.string()),
        ("raw_ab", pa.string()),
        ("raw_ba", pa.string()),
        *VERDICTS,
    ]
)
"""Verdicts are a, b, tie or unparsable and name the completion, whatever order it was shown in. preference is the
share of verdicts for a (tie .5) or what the critic's rule made of them, null when unusable; dropped says why a row
makes no training pair."""

JUDGEMENTS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("score", pa.float64()),
        ("valid", pa.bool_()),
        ("completion", pa.string()),
        ("reference", pa.string()),
        ("verdict_ab", pa.string()),
        ("verdict_ba", pa.string()),
        ("raw_ab", pa.string()),
        ("raw_ba", pa.string()),
        *VERDICTS,
    ]
)
"""score is W (0..100, both orders averaged, tie 50) or the protocol's own unit; null where not valid."""

TURNS = pa.schema(
    [
        *JUDGEMENTS,
        ("category", pa.string()),
        ("question_2", pa.string()),
        ("completion_2", pa.string()),
        ("score_1", pa.float64()),
        ("score_2", pa.float64()),
        ("raw_1", pa.string()),
        ("raw_2", pa.string()),
    ]
)
"""JUDGEMENTS of conversations of two turns: completion and completion_2 are the answers, score_1 and score_2 the
judge's ratings of each (null where it cannot be read), raw_1 and raw_2 its words."""

LIKELIHOODS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("row", pa.int32()),
        ("which", pa.string()),
        ("logprob", pa.float64()),
        ("tokens", pa.int32()),
    ]
)
"""logprob in nats, summed over the completion's tokens; which is completion, a or b; row is the scored table's row."""

REFERENCES = pa.schema(
    [
        ("row", pa.int32()),
        ("prompt_id", pa.string()),
        ("ref_chosen_logps", pa.float64()),
        ("ref_rejected_logps", pa.float64()),
        ("ref_chosen_tokens", pa.int32()),
        ("ref_rejected_tokens", pa.int32()),
    ]
)
"""A start's log-probabilities of pairs, by TRL's names: in nats, summed over a completion's tokens within max_length.
row is the row of PREFERENCES; those that make no pair are not here, nor those of which max_length leaves nothing."""

REWARDS = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("sample_index", pa.int32()),
        ("completion", pa.string()),
        ("reward", pa.float64()),
        ("tokens", pa.int32()),
    ]
)
"""reward is a reward model's output; tokens are those that it saw of prompt and completion."""


def from_rows(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of `schema` from dicts; a missing column is null."""
    return pa.Table.from_pylist(rows, schema=schema)


def to_bytes(table: pa.Table) -> bytes:
    """Parquet bytes; equal tables give equal bytes, so that their hashes agree."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read(source: Path | bytes, schema: pa.Schema | None = None) -> pa.Table:
    """Read Parquet, and check that it has `schema`'s columns.

    Raises:
        StageError: a column is missing.
    """
    # Twice as fast as `read_table` for tables of a thousand rows: that looks for a dataset of many files.
    with pq.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        table = file.read()
    if schema is not None and (missing := [name for name in schema.names if name not in table.column_names]):
        raise StageError(f"columns {missing} are missing; the file has {table.column_names}")
    return table
