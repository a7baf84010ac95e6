"""The rows that a training was given, as TRL takes them: prompt and completion, or prompt, chosen and rejected.

Conversations, as in the training itself; without the rows that it left out: empty completions, and pairs of which none
is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.selection import chosen, selected

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
DEMONSTRATIONS, PREFERENCES = "demonstrations", "preferences"
ROLES = {"prompt": "user", "completion": "assistant", "chosen": "assistant", "rejected": "assistant"}


@dataclass(frozen=True)
class Rows:
    """The rows of one step; `format` is what TRL calls such a data set."""

    step: str
    format: str
    table: pa.Table


def source_of(inputs: Mapping[str, Any]) -> str | None:
    """The input of a training stage that holds its rows; None where it holds none (a method that asks for its own)."""
    return next((name for name in (PREFERENCES, DEMONSTRATIONS) if name in inputs), None)


def rows_of(step: str, params: Mapping[str, Any], source: str, table: pa.Table) -> Rows:
    """A training stage's rows, from its params and the table that it read.

    Raises:
        PermanentError: the stage's own selection leaves no row.
    """
    if source == PREFERENCES:
        table = selected(table, params)
        if params["method"] != "sft":
            pairs = table.filter(pc.is_valid(table["chosen"]))
            return Rows(step, "preference", _conversations(pairs, ("prompt", "chosen", "rejected")))
        table = chosen(table)
    says_something = [bool((text or "").strip()) for text in table["completion"].to_pylist()]
    table = table.filter(pa.array(says_something, pa.bool_()))
    return Rows(step, "prompt-completion", _conversations(table, ("prompt", "completion")))


def _conversations(table: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    return pa.table(
        {
            name: pa.array([[{"role": ROLES[name], "content": text}] for text in table[name].to_pylist()], MESSAGES)
            for name in columns
        }
    )
