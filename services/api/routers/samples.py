"""/v1/experiments/{id}/samples: what two arms answered to the same prompts, and what the judge said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.api import side_by_side
from services.api.deps import Cursor, JudgedRowsDep, Limit, Summary, bad_cursor, caller
from services.api.problems import not_found, responses
from services.api.schemas import SampleList
from services.api.side_by_side import Disagreement, Winner

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], dependencies=[Depends(caller)])

ArmName = Annotated[str, Query(max_length=300, description="an arm; of a matrix `arm [cell]`. Default: the primary's")]
EvaluationName = Annotated[str, Query(max_length=200, description="as the report calls it. Default: the primary's")]
Seed = Annotated[int | None, Query(description="of which training. Default: the first")]
Text = Annotated[str, Query(alias="filter", max_length=200, description="a text that the prompt has")]


@router.get("/{id}/samples", response_model=SampleList, responses=responses(401, 404, 422, 503))
def get_samples(
    summary: Summary,
    judged: JudgedRowsDep,
    arm_a: ArmName = "",
    arm_b: ArmName = "",
    evaluation: EvaluationName = "",
    seed: Seed = None,
    filter: Text = "",
    winner: Winner | None = None,
    disagreement: Disagreement | None = None,
    limit: Limit = 20,
    cursor: Cursor = "",
) -> SampleList:
    """Samples side by side, in the order of the prompts. Scores are against the reference; `winner` has the higher."""
    id = summary["id"]
    choice = judged.choose(id, arm_a, arm_b, evaluation, seed)
    rows = judged.rows(id, choice)
    if rows is None:
        raise not_found(f"judgement yet of both {choice.arm_a} and {choice.arm_b} under {choice.evaluation}")
    found = side_by_side.chosen(rows, filter, winner, disagreement)
    start = place(cursor)
    arms = (choice.arm_a, choice.arm_b)
    more = start + limit < found.num_rows
    return SampleList.model_validate(
        {
            "items": side_by_side.as_items(found.slice(start, limit), arms),
            "next_cursor": str(start + limit) if more else None,
            "total": found.num_rows,
            "counts": side_by_side.counts(rows),
            "evaluation": choice.evaluation,
            "seed": choice.seed,
        }
    )


def place(cursor: str) -> int:
    """The row that a cursor stands for: committed rows never change, so it is their number."""
    if not cursor:
        return 0
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 9:
        raise bad_cursor()
    return int(cursor)
