"""/v1/experiments/{id}/human: sheets for people to vote on, their votes, and what those say beside the judge's."""

from __future__ import annotations

from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from services.api.deps import Caller, ReportsDep, SettingsDep, SheetsDep, Store, Summary, VotedDep, caller
from services.api.human_schemas import HumanCheck, SheetRows, VoteList, VotesAdded
from services.api.problems import TooLarge, responses
from services.api.reportfiles import JSON
from services.api.sheets import Against, as_csv
from services.api.votes import cast, read_votes
from shared.human import write_votes

router = APIRouter(prefix="/v1/experiments", tags=["human check"], dependencies=[Depends(caller)])

Contrast = Annotated[str, Query(max_length=300, description="whose two arms. Default: the primary's")]
Arm = Annotated[str, Query(max_length=300, description="against the reference: this arm alone")]
Which = Annotated[Against, Query(description="the contrast's arms against each other, or each against the reference")]
Seed = Annotated[int | None, Query(description="of which training. Default: the first")]
Prompts = Annotated[int, Query(ge=1, le=2000, description="prompts, chosen by hash")]
Rater = Annotated[str, Query(max_length=200, description="whose votes: of rows that do not say so themselves")]

SHEET: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The sheet; CSV by Accept."},
    **responses(401, 404, 422, 503),
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A sheet with its column vote filled in, or JSON.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "row,vote,rater\n1f0c2a9b-8d3e5f7a9b1c,left,Ann\n"},
            "application/json": {
                "schema": {"type": "object"},
                "example": {"rater": "Ann", "votes": [{"row": "1f0c2a9b-8d3e5f7a9b1c", "vote": "left"}]},
            },
        },
    }
}


@router.get("/{id}/human/sheet", response_model=SheetRows, responses=SHEET)
def get_sheet(
    request: Request,
    summary: Summary,
    sheets: SheetsDep,
    n: Prompts = 100,
    against: Which = "arm",
    contrast: Contrast = "",
    arm: Arm = "",
    seed: Seed = None,
) -> Response:
    """Pairs of completions under the primary evaluation, blinded: sides and order by hash, nothing names an arm. Pairs
    of two equal texts are left out: they are ties. JSON where `Accept` says so, else CSV."""
    id = summary["id"]
    pairs = sheets.pairs(id, sheets.chosen(id, against, contrast, arm, seed), n)
    headers = {"Vary": "Accept", "Cache-Control": "no-store"}
    if "application/json" in request.headers.get("accept", ""):
        rows = [{"row": pair.row, "prompt": pair.prompt, "left": pair.left, "right": pair.right} for pair in pairs]
        return JSONResponse({"items": rows}, headers=headers)
    headers |= {"Content-Disposition": f'attachment; filename="sheet-{id}.csv"', "X-Content-Type-Options": "nosniff"}
    return Response(as_csv(pairs), media_type="text/csv; charset=utf-8", headers=headers)


@router.post(
    "/{id}/human/votes",
    status_code=201,
    response_model=VotesAdded,
    openapi_extra=BODY,
    responses=responses(401, 403, 404, 413, 422, 503),
)
async def add_votes(
    request: Request,
    summary: Summary,
    sheets: SheetsDep,
    voted: VotedDep,
    store: Store,
    settings: SettingsDep,
    who: Caller,
    rater: Rater = "",
) -> VotesAdded:
    """Keep votes: all of them, or, where one is wrong, none. A later vote of the same rater on a row supersedes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_dataset_bytes:
            raise TooLarge("votes", settings.max_dataset_bytes, "TOUCHSTONE_MAX_DATASET_BYTES")
    kind, id = request.headers.get("content-type", ""), summary["id"]

    def keep() -> VotesAdded:
        made = cast(read_votes(bytes(body), kind, rater), id, sheets)
        before = voted.ballots(id)
        write_votes(store, id, made)
        known = {(one.rater, one.row) for one in before.cast}
        changed = sum((one.rater, one.row) in known for one in made)
        return VotesAdded(id=id, added=len(made), superseded=changed, votes=len(before.cast) + len(made) - changed)

    return await to_thread.run_sync(keep)


@router.get("/{id}/human/votes", response_model=VoteList, responses=responses(401, 404, 503))
def list_votes(summary: Summary, voted: VotedDep, rater: Rater = "") -> VoteList:
    """The votes that count, of all raters or of one; they name no arm either."""
    found = voted.ballots(summary["id"]).cast
    items = [
        {"row": one.row, "vote": one.vote, "rater": one.rater, "at": one.at}
        for one in found
        if not rater or one.rater == rater.strip()
    ]
    return VoteList.model_validate({"items": items})


@router.get("/{id}/human", response_model=HumanCheck, responses=responses(401, 404, 503))
def get_human(summary: Summary, voted: VotedDep, reports: ReportsDep) -> HumanCheck:
    """How far people and the judge agree, and the primary contrast corrected with people's votes: what the newest
    report says. `up_to_date` is false while the analyst makes the one that has all votes: ask again."""
    ballots = voted.ballots(summary["id"])
    newest = voted.newest(summary, JSON)
    report = reports.data(summary) or {}
    cells = report.get("cells") or {"": report}
    trust = {name: cell["trust"] for name, cell in cells.items() if cell.get("trust")}
    included = sum((one["people"] or {}).get("votes", 0) for one in trust.values())
    whole = included == len(ballots.cast) if newest is None else newest.whole
    raters: dict[str, int] = {}
    for one in ballots.cast:
        raters[one.rater] = raters.get(one.rater, 0) + 1
    return HumanCheck(
        id=summary["id"],
        votes=len(ballots.cast),
        superseded=ballots.superseded,
        raters=raters,
        included=included,
        up_to_date=whole,
        trust=trust,
    )
