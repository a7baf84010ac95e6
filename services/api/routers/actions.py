"""Buttons of an experiment's page: cancel and resume, as forms that work without script."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from services.api.deps import Redis, Store, Summary
from services.api.routers.experiments import cancel_experiment, resume_experiment
from services.api.schemas import Resume
from services.api.viewer import ActorDep
from shared.errors import BadInput

router = APIRouter(prefix="/experiments", include_in_schema=False)


@router.post("/{id}/cancel")
def cancel(who: ActorDep, summary: Summary, store: Store, client: Redis) -> RedirectResponse:
    """Cancel, and show the experiment."""
    cancel_experiment(summary, store, client)
    return RedirectResponse(f"/experiments/{summary['id']}", 303)


@router.post("/{id}/resume")
def resume(
    who: ActorDep, summary: Summary, store: Store, client: Redis, budget: Annotated[str, Form(max_length=40)] = ""
) -> RedirectResponse:
    """Go on, with a higher budget where one is given (US dollars), and show the experiment."""
    resume_experiment(summary, store, client, Resume(budget_usd=dollars_of(budget)) if budget.strip() else None)
    return RedirectResponse(f"/experiments/{summary['id']}", 303)


def dollars_of(text: str) -> float:
    """A number of dollars as people type it. Raises `BadInput`."""
    try:
        usd = float(text.replace("$", "").replace(",", "").strip())
    except ValueError:
        usd = math.nan
    if not (math.isfinite(usd) and usd >= 0):
        raise BadInput("budget_usd", f"{text!r} is no amount", "Write US dollars, as 80.")
    return usd
