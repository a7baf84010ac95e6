"""Reading gold scores and people's votes beside the judgements that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from services.analyst.gold import GoldScores, by_labels, shares_of
from services.analyst.params import ReportParams
from services.analyst.people import Voted, VotedPair, passed_over, with_same
from shared.artifacts import Artifact
from shared.human import SHARES, Ballots, Cast
from shared.judgements import mirrored
from shared.spec.matrix import in_cell

JUDGEMENTS = "judgements.parquet"
PREFERENCES = "preferences.parquet"
COLUMNS = ("prompt_id", "completion", "reference", "score", "valid")
Rows = Mapping[str, Mapping[str, Any]]
"""Of one arm and seed under the primary evaluation, by prompt."""


def read_gold(params: ReportParams, artifacts: Mapping[str, Artifact]) -> GoldScores | None:
    """What is there of the gold labels that the spec names; None where it names none."""
    gold = params.gold
    if gold is None:
        return None
    scores: dict[str, dict[int, Mapping[str, float]]] = {}
    for row in gold.scores:
        if row.input in artifacts:
            table = artifacts[row.input].table(JUDGEMENTS).select(["prompt_id", "score", "valid"]).to_pylist()
            found = {one["prompt_id"]: one["score"] for one in table if one["valid"]}
            scores.setdefault(row.arm, {})[row.seed] = found
    if gold.pairs is not None and gold.pairs in artifacts:
        shares = shares_of(artifacts[gold.pairs].table(PREFERENCES).to_pylist())
        for (arm, seed), rows in _tables(params, artifacts, set(gold.arms)).items():
            scores.setdefault(arm, {})[seed] = by_labels(rows.values(), shares)
    return GoldScores(gold.labels, gold.n, scores)


def read_votes(params: ReportParams, artifacts: Mapping[str, Artifact], ballots: Ballots) -> Voted:
    """The votes that are of this report's (or cell's) primary evaluation."""
    names = {in_cell(params.cell, arm): arm for arm in params.arms}
    mine = [
        replace(one, sheet=replace(one.sheet, arm_a=names[one.sheet.arm_a], arm_b=_other(one, names)))
        for one in ballots.cast
        if one.sheet.evaluation == params.primary.evaluation and one.sheet.arm_a in names
    ]
    arms = {arm for one in mine for arm in (one.sheet.arm_a, one.sheet.arm_b) if arm is not None}
    if not arms:
        return Voted()
    tables = _tables(params, artifacts, arms)
    pairs = list(_pairs(mine, tables))
    scores: dict[str, dict[int, Mapping[str, float]]] = {}
    leads: dict[int, Mapping[str, float]] = {}
    missed = 0
    for arm, other, seed in dict.fromkeys((pair.arm, pair.other, pair.seed) for pair in pairs):
        voted = {one.prompt_id: one.pooled for one in pairs if (one.arm, one.other, one.seed) == (arm, other, seed)}
        same, rest = _same(tables, arm, other, seed)
        missed += passed_over(voted, rest)
        if other is None:
            scores.setdefault(arm, {})[seed] = with_same({id: 100 * share for id, share in voted.items()}, same)
        elif [arm, other] == params.contrasts.get(params.primary.contrast):
            leads[seed] = with_same({id: 200 * share - 100 for id, share in voted.items()}, same, tie=0.0)
    return Voted(tuple(pairs), len(mine), ballots.superseded, missed, scores, leads)


def _other(one: Cast, names: Mapping[str, str]) -> str | None:
    return None if one.sheet.arm_b is None else names.get(one.sheet.arm_b, one.sheet.arm_b)


def _tables(
    params: ReportParams, artifacts: Mapping[str, Artifact], arms: Iterable[str]
) -> dict[tuple[str, int], Rows]:
    """The rows of these arms under the primary evaluation, by arm and seed."""
    wanted = set(arms)
    found: dict[tuple[str, int], Rows] = {}
    for row in params.scores:
        if row.evaluation == params.primary.evaluation and row.arm in wanted and row.input in artifacts:
            table = artifacts[row.input].table(JUDGEMENTS)
            table = mirrored(table) if row.mirrored else table
            columns = [name for name in COLUMNS if name in table.column_names]
            rows = [dict.fromkeys(COLUMNS) | one for one in table.select(columns).to_pylist()]
            found[row.arm, row.seed] = {str(one["prompt_id"]): one for one in rows}
    return found


def _pairs(votes: Iterable[Cast], tables: Mapping[tuple[str, int], Rows]) -> Iterable[VotedPair]:
    """Every pair once, with all of its raters' votes."""
    by_row: dict[str, list[Cast]] = {}
    for one in votes:
        by_row.setdefault(one.row, []).append(one)
    for cast in by_row.values():
        sheet, id = cast[0].sheet, cast[0].prompt_id
        a = tables.get((sheet.arm_a, sheet.seed), {}).get(id)
        b = a if sheet.arm_b is None else tables.get((sheet.arm_b, sheet.seed), {}).get(id)
        if a is None or b is None:
            continue
        texts = a["completion"], (b["reference"] if sheet.arm_b is None else b["completion"])
        if None not in texts:
            given = {one.rater: SHARES[one.prefers] for one in cast}
            yield VotedPair(sheet.arm_a, sheet.arm_b, sheet.seed, id, *texts, _judged(a, b, sheet.arm_b), given)


def _judged(a: Mapping[str, Any], b: Mapping[str, Any], other: str | None) -> float | None:
    """How much the judge prefers a: by its score against the reference, or by whose is higher."""
    if not (a["valid"] and b["valid"]):
        return None
    if other is None:
        return float(a["score"]) / 100
    return 0.5 if a["score"] == b["score"] else float(a["score"] > b["score"])


def _same(
    tables: Mapping[tuple[str, int], Rows], arm: str, other: str | None, seed: int
) -> tuple[list[str], list[str]]:
    """The prompts whose two texts are one, and the others, of those that are judged."""
    a = tables[arm, seed]
    b = a if other is None else tables[other, seed]
    column = "reference" if other is None else "completion"
    both = [id for id in a if id in b and a[id]["valid"] and b[id]["valid"]]
    same = [id for id in both if a[id]["completion"] == b[id][column]]
    known = set(same)
    return same, [id for id in both if id not in known]
