"""/v1/experiments/{id}/samples: what two arms answered to the same prompts, and what the judge said."""

from __future__ import annotations

import re
from typing import Annotated

import pyarrow as pa
from fastapi import APIRouter, Depends, Query, Response

from services.api import side_by_side
from services.api.deps import Cursor, JudgedRowsDep, Limit, Summary, bad_cursor, caller
from services.api.judged_rows import Choice, JudgedRows
from services.api.problems import not_found, responses
from services.api.schemas import SampleList
from services.api.side_by_side import Disagreement, Winner
from shared import records

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])

ArmName = Annotated[str, Query(max_length=300, description="an arm; of a matrix `arm [cell]`. Default: the primary's")]
EvaluationName = Annotated[str, Query(max_length=200, description="as the report calls it. Default: the primary's")]
Seed = Annotated[int | None, Query(description="of which training. Default: the first")]
Text = Annotated[str, Query(alias="filter", max_length=200, description="a text that the prompt has")]

CategoryName = Annotated[str, Query(max_length=200, description="a category of prompts, where their rows have one")]


@router.get("/{id}/samples", response_model=SampleList, responses=responses(401, 404, 422, 503))
def get_samples(
    summary: Summary,
    judged: JudgedRowsDep,
    arm_a: ArmName = "",
    arm_b: ArmName = "",
    evaluation: EvaluationName = "",
    seed: Seed = None,
    filter: Text = "",
    category: CategoryName = "",
    winner: Winner | None = None,
    disagreement: Disagreement | None = None,
    limit: Limit = 20,
    cursor: Cursor = "",
) -> SampleList:
    """Samples side by side, in the order of the prompts. Scores are against the reference; `winner` has the higher."""
    choice, rows = _judged(summary["id"], judged, arm_a, arm_b, evaluation, seed)
    found = side_by_side.chosen(rows, filter, winner, disagreement, category)
    start = place(cursor)
    arms = (choice.arm_a, choice.arm_b)
    more = start + limit < found.num_rows
    return SampleList.model_validate(
        {
            "items": side_by_side.as_items(found.slice(start, limit), arms),
            "next_cursor": str(start + limit) if more else None,
            "total": found.num_rows,
            "counts": side_by_side.counts(rows),
            "categories": side_by_side.categories(rows),
            "evaluation": choice.evaluation,
            "seed": choice.seed,
        }
    )


@router.get(
    "/{id}/samples.parquet",
    response_class=Response,
    responses={200: {"content": {"application/vnd.apache.parquet": {}}}, **responses(401, 404, 422, 503)},
)
def download_samples(
    summary: Summary,
    judged: JudgedRowsDep,
    arm_a: ArmName = "",
    arm_b: ArmName = "",
    evaluation: EvaluationName = "",
    seed: Seed = None,
    filter: Text = "",
    category: CategoryName = "",
    winner: Winner | None = None,
    disagreement: Disagreement | None = None,
) -> Response:
    """All of the samples side by side that the filters leave, as one Parquet table."""
    choice, rows = _judged(summary["id"], judged, arm_a, arm_b, evaluation, seed)
    found = side_by_side.chosen(rows, filter, winner, disagreement, category)
    name = re.sub(r"[^A-Za-z0-9.@-]+", "-", f"{choice.arm_a}-{choice.arm_b}-{choice.evaluation}-seed{choice.seed}")
    headers = {"Content-Disposition": f'attachment; filename="{name}.parquet"', "X-Content-Type-Options": "nosniff"}
    return Response(records.to_bytes(found), media_type="application/vnd.apache.parquet", headers=headers)


def _judged(
    id: str, judged: JudgedRows, arm_a: str, arm_b: str, evaluation: str, seed: int | None
) -> tuple[Choice, pa.Table]:
    """The rows that were asked for. Raises `Problem` (404) while they are not there."""
    choice = judged.choose(id, arm_a, arm_b, evaluation, seed)
    rows = judged.rows(id, choice)
    if rows is None:
        raise not_found(f"judgement yet of both {choice.arm_a} and {choice.arm_b} under {choice.evaluation}")
    return choice, rows


def place(cursor: str) -> int:
    """The row that a cursor stands for: committed rows never change, so it is their number."""
    if not cursor:
        return 0
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 9:
        raise bad_cursor()
    return int(cursor)
