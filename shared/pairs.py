"""Which completions a `label` or `judge` stage compares. Pure: the estimate asks for the same pairs as the worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pyarrow as pa

from shared.asking.turns import Conversation
from shared.canonical import sha256_hex
from shared.errors import PermanentError
from shared.plan.comparisons import Comparison
from shared.protocols import PROTOCOLS

Rows = Iterable[Mapping[str, Any]]


def items(kind: str, params: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Sequence[Comparison | Conversation]:
    """The pairs, or the conversations, that a critic or judge is asked about; none of a judge that asks nothing.

    Raises:
        PermanentError: a prompt has too few samples.
    """
    if kind == "judge" and (found := PROTOCOLS[params["protocol"]].conversations(tables, params)) is not None:
        return found
    return comparisons(kind, params, tables) or []


def comparisons(kind: str, params: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> list[Comparison] | None:
    """The pairs that a critic or judge is asked about, from the stage's inputs; None of a judge that asks nothing.

    Raises:
        PermanentError: a prompt has too few samples.
    """
    if kind == "judge":
        return PROTOCOLS[params["protocol"]].comparisons(tables, params)
    if params["pairs"] == "given":
        return given_pairs(tables["preferences"])
    samples = tables["samples"].to_pylist()
    if params["pairs"] == "policy_vs_teacher":
        return opponent_pairs(samples, tables["opponent"].to_pylist())
    return sample_pairs(samples, params.get("choose", "first_two"))


def sample_pairs(samples: Rows, choose: str = "first_two") -> list[Comparison]:
    """Pairs of each prompt's samples, in the prompts' order; a pair's a is the earlier sample.

    first_two; random_two, by a hash of the prompt and the samples' numbers; all, which best_worst needs too.

    Raises:
        PermanentError: a prompt has fewer than two.
    """
    pairs = []
    for prompt_id, rows in _by_prompt(samples).items():
        if len(rows) < 2:
            raise PermanentError(f"prompt {prompt_id} has one sample, and a pair needs two: write `samples: 2` or more")
        if choose == "random_two":
            drawn = sorted(rows, key=lambda row: sha256_hex(f"{row['prompt_id']}/{row['sample_index']}"))[:2]
            rows = sorted(drawn, key=_sample_index)
        elif choose == "first_two":
            rows = rows[:2]
        pairs += [
            Comparison(prompt_id, one["prompt"], one["completion"], other["completion"])
            for one, other in combinations(rows, 2)
        ]
    return pairs


def opponent_pairs(samples: Rows, opponents: Rows) -> list[Comparison]:
    """Each sample as a, against another model's completion of the prompt as b; prompts that it lacks have no pair."""
    other = {row["prompt_id"]: row["completion"] for row in opponents}
    return [
        Comparison(prompt_id, row["prompt"], row["completion"], other[prompt_id])
        for prompt_id, rows in _by_prompt(samples).items()
        for row in rows
        if prompt_id in other
    ]


def given_pairs(preferences: pa.Table) -> list[Comparison]:
    """The pairs of another stage's PREFERENCES, without their labels."""
    columns = ("prompt_id", "prompt", "completion_a", "completion_b")
    return [Comparison(*(row[name] for name in columns)) for row in preferences.select(columns).to_pylist()]


def _by_prompt(samples: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """Each prompt's samples in their order, in the prompts' order."""
    of_prompt: dict[str, list[Mapping[str, Any]]] = {}
    for row in samples:
        of_prompt.setdefault(row["prompt_id"], []).append(row)
    return {prompt_id: sorted(rows, key=_sample_index) for prompt_id, rows in of_prompt.items()}


def _sample_index(row: Mapping[str, Any]) -> int:
    return int(row["sample_index"])
