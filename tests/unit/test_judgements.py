"""Judgements seen from the other arm's side."""

from __future__ import annotations

from typing import Any

import pytest

from shared import records
from shared.judgements import mirrored
from shared.plan.comparisons import Comparison, Verdicts
from shared.protocols.pairwise import Pairwise

PAIR = Comparison("p", "?", "left", "right")
VOTES = (Verdicts("a", "b", "x", "y"), Verdicts("tie", "a", "u", "v"))
CASES = [
    Verdicts("a", "b", "first", "second"),
    Verdicts("a", "a", "first", "second", settled=0.75),
    Verdicts("unparsable", "a", "?", "a"),
    Verdicts("b", None, "only", None, order_asked="ab"),
    Verdicts(None, "a", None, "only", order_asked="ba"),
    Verdicts("a", None, "scored", None, score_a=3.0, score_b=1.0),
    Verdicts("a", "tie", "x", "y", votes=VOTES),
]


def rows_of(pair: Comparison, verdicts: Verdicts) -> Any:
    samples = [{"prompt_id": pair.prompt_id, "prompt": pair.prompt, "completion": pair.a}]
    tables = {
        "samples": records.from_rows(samples, records.COMPLETIONS),
        "reference": records.from_rows([{**samples[0], "completion": pair.b}], records.COMPLETIONS),
    }
    return Pairwise.rows(tables, {}, [verdicts])


def turned(verdicts: Verdicts) -> Verdicts:
    """What the judge would have left if b had been the policy's: the same answers to the same questions."""
    swap: Any = {"a": "b", "b": "a", None: None}
    ordered = verdicts.order_asked is not None or verdicts.ba is not None
    ab, ba = (verdicts.ba, verdicts.ab) if ordered else (verdicts.ab, verdicts.ba)
    raw = (verdicts.raw_ba, verdicts.raw_ab) if ordered else (verdicts.raw_ab, verdicts.raw_ba)
    asked: Any = {"ab": "ba", "ba": "ab", None: None}[verdicts.order_asked]
    return Verdicts(
        swap.get(ab, ab), swap.get(ba, ba), *raw, order_asked=asked,
        settled=None if verdicts.settled is None else 1 - verdicts.settled,
        score_a=verdicts.score_b, score_b=verdicts.score_a,
        votes=None if verdicts.votes is None else tuple(turned(vote) for vote in verdicts.votes),
    )  # fmt: skip


@pytest.mark.parametrize("verdicts", CASES, ids=str)
def test_they_are_what_the_other_arm_would_have_got(verdicts: Verdicts) -> None:
    found = mirrored(rows_of(PAIR, verdicts)).to_pylist()
    (expected,) = rows_of(Comparison("p", "?", "right", "left"), turned(verdicts)).to_pylist()
    assert found == [expected]


@pytest.mark.parametrize("verdicts", CASES, ids=str)
def test_twice_is_not_at_all(verdicts: Verdicts) -> None:
    table = rows_of(PAIR, verdicts)
    assert mirrored(mirrored(table)).to_pylist() == table.to_pylist()
