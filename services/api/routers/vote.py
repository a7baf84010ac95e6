"""/experiments/{id}/vote: a page to vote on, one blinded pair at a time."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import Response

from services.api.deps import SheetsDep, Summary
from services.api.routers.human import Arm, Contrast, Prompts, Seed, Which
from services.api.viewer import ViewerDep

router = APIRouter(prefix="/experiments", include_in_schema=False)


@router.get("/{id}/vote")
def vote(
    who: ViewerDep,
    summary: Summary,
    sheets: SheetsDep,
    n: Prompts = 100,
    against: Which = "arm",
    contrast: Contrast = "",
    arm: Arm = "",
    seed: Seed = None,
) -> Response:
    """The page; its script asks for the pairs and keeps each vote as it is cast. It names no arm, in no address
    either, unless somebody asked for one."""
    sheets.chosen(summary["id"], against, contrast, arm, seed)
    asked = {"n": n, "against": against, "contrast": contrast, "arm": arm, "seed": seed}
    query = urlencode({name: value for name, value in asked.items() if value not in ("", None)})
    return who.draw("vote.html", experiment=summary, query=query, n=n, against=against, seed=seed)
