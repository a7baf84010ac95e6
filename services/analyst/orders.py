"""The primary contrast as the judge sees it in each order alone: a position bias that arms do not share shows here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from services.analyst.contrasts import Contrast, ContrastResult, compare
from services.analyst.intervals import Method, crossed
from services.analyst.scores import SeedScores, assemble

ORDERS = {"verdict_ab": "shown first", "verdict_ba": "shown second"}
"""Where the arm's completion stood, by the column of JUDGEMENTS that has the verdict."""
SCORES = {"a": 100.0, "tie": 50.0, "b": 0.0}

ByOrder = Mapping[str, SeedScores]


def by_order(table: pa.Table, turned: bool = False) -> dict[str, SeedScores]:
    """One seed's scores in each order, by where the arm's completion stood; no order in which nothing was judged.

    `turned`: by where the other completion stood.
    """
    ids = np.asarray(table["prompt_id"].to_pylist(), dtype=np.str_)
    found = {}
    named = dict(zip(ORDERS, reversed(ORDERS.values()), strict=True)) if turned else ORDERS
    for column, order in named.items():
        if column in table.column_names:
            scores = np.array([SCORES.get(verdict, np.nan) for verdict in table[column].to_pylist()], dtype=np.float64)
            if not np.isnan(scores).all():
                found[order] = SeedScores(ids, scores, ~np.isnan(scores))
    return found


def under_each_order(
    contrast: Contrast,
    evaluation: str,
    tables: Mapping[str, Mapping[int, ByOrder]],
    alpha: float,
    method: Method = crossed,
    head_to_head: bool = False,
) -> dict[str, ContrastResult]:
    """The contrast by order, from its arms' `tables` by seed; empty unless every table has both orders."""
    whole = [tables.get(arm, {}) for arm in contrast.arms]
    if not all(whole) or any(set(one) != set(ORDERS.values()) for arm in whole for one in arm.values()):
        return {}
    found: dict[str, Any] = {}
    for order in ORDERS.values():
        scores = {
            arm: assemble(arm, evaluation, {seed: one[order] for seed, one in seeds.items()})
            for arm, seeds in zip(contrast.arms, whole, strict=True)
        }
        found[order] = compare(contrast, scores, alpha, method, head_to_head=head_to_head)
    return {} if None in found.values() else found
